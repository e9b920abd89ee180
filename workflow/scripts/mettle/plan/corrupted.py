"""Named sets of corruptions: the entries of `corrupt.corruptions`, and the cells of each."""

from collections.abc import Mapping
from typing import Any

from mettle import schema
from mettle.corruptions import selected
from mettle.typed import Corruptions

CLEAN = "clean"
# Readers of corrupted images as published: such a data set has no splits, but a store for each type and severity.
PUBLISHED = ("imagenet_c", "cifar_c")


def entries(config: Mapping[str, Any]) -> dict[str, Corruptions]:
    """The entries of `corrupt.corruptions` by name, checked, with defaults and the names of their types.

    Raises
    ------
    ValueError
        For an entry that is wrong.
    """
    found = {}
    for name, content in config["corrupt"]["corruptions"].items():
        options = schema.check(content, "corruptions", f"configuration: corrupt.corruptions.{name}")
        found[name] = options | {"types": list(selected(options["types"])), "severities": sorted(options["severities"])}
    return found


def cells(name: str, options: Corruptions) -> dict[str, Corruptions]:
    """The cells of an entry by name: its corruptions, together or one each, and `NAME-clean`, the same images clean."""
    types = options["types"]
    parts = {f"{name}-{kind}": [kind] for kind in types} if options["by_type"] else {name: types}
    return {cell: options | {"types": part} for cell, part in parts.items()} | {clean_cell(name): _clean(options)}


def clean_cell(name: str) -> str:
    """Name of the cell with the clean images of an entry."""
    return f"{name}-{CLEAN}"


def _clean(options: Corruptions) -> Corruptions:
    """What of an entry counts for its clean images."""
    kept = ("images", "resize", "crop")
    return schema.filled({key: options[key] for key in kept}, "corruptions") | {"types": [CLEAN], "severities": [0]}


def conditions(options: Corruptions) -> list[tuple[str, int]]:
    """Type and severity of every condition of a cell, in the order of its rows."""
    return [(kind, severity) for kind in options["types"] for severity in options["severities"]]
