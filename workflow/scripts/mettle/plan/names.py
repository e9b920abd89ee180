"""Names: those that the library's registries know, read off its sources, and those that a grid's values get."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib import util
from itertools import groupby
from os.path import commonprefix
from pathlib import Path
from typing import Any

# Folders of `results` that all configurations share: stores, weights, and what they are handed on as.
SHARED_STAGES = ("prep", "train", "tfds", "dinov2", "mmseg")
LIBRARY = Path(__file__).parents[1]


def known_architectures() -> frozenset[str]:
    """Names of our architectures and of timm's, read off the sources: importing timm takes seconds.

    Empty when timm is not installed beside Snakemake; the job then says whether the name is known.
    """
    spec = util.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    return known_keys("models/architectures.py", "ARCHITECTURES") | _registered(Path(spec.origin).parent / "models")


@cache
def _registered(folder: Path) -> frozenset[str]:
    """Models that the files of a folder register with timm."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    return frozenset(name for text in texts for name in re.findall(r"^@register_model\s+def (\w+)", text, re.MULTILINE))


@cache
def known_losses() -> frozenset[str]:
    """Names of the training losses, read off the source: importing torch takes seconds."""
    return known_keys("stages/train/losses.py", "LOSSES")


def known_keys(module: str, registry: str) -> frozenset[str]:
    """Keys of a registry, a plain dict of our library: those of its literal, and those assigned one by one."""
    found = set()
    for node in ast.walk(ast.parse((LIBRARY / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == registry and isinstance(node.value, ast.Dict):
                found.update(key.value for key in node.value.keys if isinstance(key, ast.Constant))
            elif isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == registry:
                found.add(target.slice.value)
    return frozenset(found)


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
