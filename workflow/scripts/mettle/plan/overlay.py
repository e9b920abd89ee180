"""Configuration files laid over each other: config.yaml, the paper's, one's own."""

import os
import sys
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from mettle import schema
from mettle.files import locate
from mettle.plan.plan import Plan
from mettle.plan.targets import check_targets

CONFIG, PAPER = "config/config.yaml", "config/paper.yaml"


def sentence(error: ValueError, own: Iterable[Path]) -> str:
    """What an error says of the configuration or of this process's targets, and the remedy where it is known.

    Parameters
    ----------
    error : of a plan or of `check_targets`
    own : files behind `--configfile`, in their order
    """
    return f"{error}{remedy(own, sys.argv[1:])}"


def remedy(own: Iterable[Path], arguments: Iterable[str]) -> str:
    """What to say beside an error that there would not be if the paper's configuration were below one's own files.

    A profile may name it, but `--configfile` on the command line takes its place.

    Parameters
    ----------
    own : files behind `--configfile`, in their order
    arguments : of the command line, whose targets are checked

    Returns
    -------
    str
        How to write it, behind a semicolon; nothing if that would not help, or the error is that of config.yaml alone.
    """
    files, paper = list(own), locate(PAPER)
    if paper.resolve() in [path.resolve() for path in files]:
        return ""
    try:
        check_targets(Plan(laid([CONFIG])), [])
        check_targets(Plan(laid([CONFIG, paper, *files])), arguments)
    except ValueError:
        return ""
    shown = " ".join(os.path.relpath(path) for path in (paper, *files))
    return f"; with {PAPER} it would be right: --configfile {shown}"


def laid(files: Iterable[str | Path]) -> dict[str, Any]:
    """What the files say together, as Snakemake lays them: mappings are merged, everything else is replaced."""
    return reduce(_over, (schema.read_yaml(locate(path)) for path in files), {})


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _over(below[key], above[key]) for key in above if _blocks(below.get(key), above[key])}
    return {**below, **above, **both}


def _blocks(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)
