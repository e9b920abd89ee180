"""Named sets of corruptions: the entries of `corrupt.corruptions`, and the cells of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mettle import schema
from mettle.corruptions import GROUPS, selected
from mettle.typed import Corruptions, DatasetRow

CLEAN = "clean"
# Readers of corrupted images as published: such a data set has no splits, but images of each type and severity.
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
        where = f"configuration: corrupt.corruptions.{name}"
        options = schema.check(content, "corruptions", where)
        if options["resize"] and not options["crop"]:
            told = f"resize is {options['resize']}, but does nothing without `crop`"
            raise ValueError(f"{where}: {told}: set crop, or leave resize out")
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


def imagenet_c_folder(source: Path, kind: str) -> Path:
    """Folder of a type of ImageNet-C, directly in the source or in the folder of its group."""
    group = next(group for group, names in GROUPS.items() if kind in names)
    return next((path for path in (source / kind, source / group / kind) if path.is_dir()), source / kind)


def check_published(row: DatasetRow, options: Corruptions, where: str) -> None:
    """Raise ValueError for a source of published images that is there, but lacks a type or severity.

    Parameters
    ----------
    row : of datasets.tsv
    options : of a cell
    where : sheet and row
    """
    source = Path(row["source"])
    if not source.is_dir() or options["types"] == [CLEAN]:
        return
    for kind, severity in conditions(options):
        folder = imagenet_c_folder(source, kind)
        path = source / f"{kind}.npy" if row["reader"] == "cifar_c" else folder / str(severity)
        if not path.exists():
            raise ValueError(
                f"{where}: {path} does not exist: unpack {kind} of the published set there, or leave it out of `types`"
            )
