"""
What the sheets name on this machine: folders, archives, checkpoints and lists, the inputs of the rules that read them.

Snakemake makes again what is older than its input. A folder changes its time when something is added to it or taken
away, so the folders of the classes are inputs, not the images in them: a thousand times to read, not a million. A
source that was deleted once it was packed stays an input; see the rule `given` for one that is needed and not there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mettle.files import found
from mettle.plan.sources import Source, parse

Row = dict[str, Any]

# Readers that need no source, and those of them whose images depend on the seed. A test compares them with the readers.
GENERATED = frozenset({"digits", "scenes"})
DRAWN = frozenset({"scenes"})
_LISTS = ("subset", "names")


def images(row: Row, split: str, manifest: Path, where: str) -> list[str]:
    """Inputs of the packing of a split.

    Parameters
    ----------
    row : cells of datasets.tsv, with those of the parent under `parent_row` where class names come from it
    split : name of the split
    manifest : of the packed split, whether it is there or not
    where : sheet and row, for messages

    Raises
    ------
    ValueError
        If the row needs a source and names none, or names a list that is not there.
    """
    return [*_source(row, split, manifest, where), *lists(row, where)]


def lists(row: Row, where: str) -> list[str]:
    """The lists that a row and its parents name."""
    paths = [str(_listed(row[key], f"{where}, column {key}")) for key in _LISTS if row.get(key)]
    return paths + (lists(row["parent_row"], where) if "parent_row" in row else [])


def checkpoint(cell: str) -> list[str]:
    """The file that a checkpoint is read from; none on Hugging Face, which has a cache of its own."""
    source = parse(cell, "source")
    return [] if source.scheme == "hf" else [str(source.path)]


def absent(datasets: Mapping[str, Row], models: Mapping[str, Row]) -> dict[str, str]:
    """Local sources that are not there, each with the sentence for who needs it.

    Parameters
    ----------
    datasets, models : rows by sheet and name, as messages have them
    """
    missing = {}
    for where, row in models.items():
        if row["source"] != "train" and (path := _absent(parse(row["source"], where))):
            missing[path] = f"{path} does not exist: put the checkpoint there, or correct column source of {where}"
    for where, row in datasets.items():
        if row["source"] and (path := _absent(parse(row["source"], where))):
            how = f"; to get the data: {row['home']}" if row["home"] else ""
            missing[path] = f"{path} does not exist: fill column source of {where} with the path of the data{how}"
    return missing


def _absent(source: Source) -> str:
    return "" if source.scheme or source.path.exists() else str(source.path)


def _listed(path: str, where: str) -> Path:
    if not (place := found(path)).is_file():
        raise ValueError(f"{where}: the list {path} does not exist")
    return place


def _source(row: Row, split: str, manifest: Path, where: str) -> list[str]:
    if row["reader"] in GENERATED:
        return []
    if not row["source"]:
        how = f"; to get the data: {row['home']}" if row.get("home") else ""
        raise ValueError(f"{where}: column source is empty: fill it with the path of the data{how}")
    source = parse(row["source"], where)
    if source.remote or source.member or row["reader"] != "folder":
        return [str(source.path)]
    return sorted(map(str, _classes(source.path, split, manifest))) or [str(source.path)]


def _classes(source: Path, split: str, manifest: Path) -> Iterator[Path]:
    """The folder of a split and those of its classes: as they are, else as they were when the split was packed."""
    folder = source / split
    if folder.is_dir():
        yield folder
        yield from (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    elif not source.exists() and manifest.exists():
        from mettle import tables

        yield folder
        packed = tables.read(manifest, tables.MANIFEST, ["source"])["source"]
        yield from {(source / path).parent for path in packed}
