"""Names: of architectures and losses that are known, and those that a grid's values get."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from os.path import commonprefix
from pathlib import Path
from typing import Any

from mettle import schema

# Folders of `results` that all configurations share: stores, weights, and what they are handed on as.
SHARED_STAGES = ("prep", "train", "tfds", "dinov2", "mmseg")
# A line with the version of the pinned timm, then its models; written by `make pins`.
TIMM = Path(__file__).with_name("timm.txt")


def known_architectures() -> frozenset[str]:
    """Names of our architectures, and of those of the pinned timm, from a list: importing timm takes seconds.

    Empty when another timm is installed beside Snakemake; the job then says whether the name is known.
    """
    head, *names = TIMM.read_text(encoding="utf-8").splitlines()
    if _installed_timm() not in (None, head.split()[-1]):
        return frozenset()
    return frozenset(schema.names("models.arch")).union(names)


def of_timm() -> frozenset[str]:
    """Names of the pinned timm's networks, but those that are ours; empty when another timm is installed."""
    return known_architectures() - frozenset(schema.names("models.arch"))


def _installed_timm() -> str | None:
    try:
        return version("timm")
    except PackageNotFoundError:
        return None


def label(key: str, value: Any) -> str:
    """Part of a name for one value of a grid, for example `weight_decay0_05` or `eps4_255`."""
    last = key.rpartition(".")[2]
    if last == "eps" and isinstance(value, float) and value and (value * 255).is_integer() and value < 1:
        value = f"{value * 255:.0f}/255"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}"
    text = re.sub(r"[^A-Za-z0-9]+", "_", str(value).lower())
    return f"{last}{text}"


def run(template: str, row: dict[str, Any]) -> str:
    """Name of a model's run in the loggers: a template with names of columns in braces, filled from its row."""
    return re.sub(r"\{(\w+)\}", lambda column: str(row[column[1]]), template)


def pattern(names: Iterable[str]) -> str:
    """Regular expression that matches these names and no others.

    Common beginnings are written once: Snakemake reads the expression through for every job.
    """
    return _alternatives(sorted(set(names))) or "(?!)"


def _alternatives(names: list[str]) -> str:
    head = commonprefix(names)  # noqa: RUF071 - of characters, not of folders
    if len(names) < 2:
        return re.escape(head)
    rests = (list(group) for _, group in groupby((name[len(head) :] for name in names), lambda rest: rest[:1]))
    return f"{re.escape(head)}(?:{'|'.join(map(_alternatives, rests))})"
