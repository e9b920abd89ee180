"""
Local files that the sheets name: folders, archives, checkpoints and lists, the inputs of the rules that read them.

Snakemake makes again what is older than its input. The time of a folder changes when something is added or removed, so
the folders of the classes are inputs, not their images: a thousand times to read, not a million. A source that was
deleted after packing stays an input; see the rule `given` for one that is needed and missing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mettle.files import locate
from mettle.plan.sources import Source, parse
from mettle.typed import DatasetRow, ModelRow

Row = dict[str, Any]

# Readers that need no source, and those of them whose images depend on the seed. A test compares them with the readers.
GENERATED = frozenset({"digits", "scenes", "streets"})
DRAWN = frozenset({"scenes", "streets"})
# Paths below its source that a reader reads for a split, if not the source itself or its class folders.
PARTS = {
    "ade20k": ("images/{split}", "annotations/{split}"),
    "depth_folder": ("images/{split}", "annotations/{split}"),
    "pascal": ("ImageSets/Segmentation/{split}.txt", "JPEGImages", "SegmentationClass"),
    "coco": ("annotations/instances_{split}.json", "{split}"),
    "nyu": ("nyu_{split}.txt",),
}
# Number of classes of readers that read one data set.
CLASSES = {
    "digits": 10,
    "scenes": 10,
    "streets": 10,
    "ade20k": 150,
    "cifar_ddpm": 10,
    "cifar10_python": 10,
    "cifar10_binary": 10,
}
CLASSES |= {"cifar100_python": 100, "cifar100_binary": 100}
_LISTS = ("subset", "names")


def images(row: DatasetRow, split: str, record: Path, where: str) -> list[str]:
    """Inputs of the packing of a split.

    Parameters
    ----------
    row : cells of datasets.tsv, with those of the parent under `parent_row` where class names come from it
    split : name of the split
    record : file in which packing has recorded the inputs of the split, if it has
    where : sheet and row, for messages

    Raises
    ------
    ValueError
        If the row needs a source and names none, or names a list that does not exist.
    """
    return [*_source(row, split, record, where), *lists(row, where)]


def check_classes(row: DatasetRow, split: str, where: str) -> None:
    """Raise ValueError if the number of classes of a row is not that of its source, as far as its folders tell.

    It is checked before any job: one that fails would already have deleted the images that were packed before.
    """
    count = CLASSES.get(row["reader"])
    source = parse(row["source"], where) if row["source"] else Source("")
    listed = any(row.get(key) for key in ("subset", "names", "parent_row"))  # then folders do not tell
    if row["reader"] == "folder" and not listed and not source.member and (source.path / split).is_dir():
        count = len(_class_folders(source.path, split))
    if count not in (None, row.get("classes")):
        raise ValueError(
            f"{where}: {row['source'] or 'the data set'} has {count} classes, but `classes` says {row['classes']}"
            + ("; if some have no images, list all in the order of the labels in column `names`" * bool(row["source"]))
        )


def lists(row: DatasetRow, where: str) -> list[str]:
    """The lists that a row and its parents name."""
    paths = [str(listed(row[key], f"{where}, column {key}")) for key in _LISTS if row.get(key)]
    return paths + (lists(row["parent_row"], where) if "parent_row" in row else [])


def checkpoint(cell: str) -> list[str]:
    """The file that a checkpoint is read from; none on Hugging Face, which has a cache of its own."""
    source = parse(cell, "source")
    return [] if source.scheme == "hf" else [str(source.path)]


def absent(
    datasets: Mapping[str, DatasetRow], models: Mapping[str, ModelRow], inverted: Mapping[str, Row]
) -> dict[str, str]:
    """Missing local sources, each with the sentence for a job that needs it.

    Parameters
    ----------
    datasets, models, inverted : rows by sheet and name, as messages have them; the last with published inverted images
        as their source
    """
    missing = {}
    for path, (where, *others) in _absent(inverted).items():
        fault = f"{path} does not exist: put the inverted images there, or correct column `inverted` of {where}"
        missing[path] = fault + _and(others)
    for path, (where, *others) in _absent(models).items():
        fault = f"{path} does not exist: put the checkpoint there, or correct column `source` of {where}"
        missing[path] = _installs(models[where]) or fault + _and(others)
    for path, (where, *others) in _absent(datasets).items():
        home = datasets[where]["home"]
        how = f"; to get the data: {home}" if home else ""
        fault = f"{path} does not exist: fill column `source` of {where}"
        missing[path] = _installs(datasets[where]) or f"{fault}{_and(others)} with the path of the data{how}"
    return missing


def _installs(row: Row) -> str:
    """The sentence for a source in a package that is not installed, or does not hold it; empty for other sources."""
    source = parse(row["source"], "source")
    if not source.package:
        return ""
    return f"{source.address}: install the package {source.package} (docs/reference.md), or correct column `source`"


def _absent(rows: Mapping[str, Row]) -> dict[str, list[str]]:
    """The rows that name each missing local source."""
    absent: dict[str, list[str]] = {}
    for where, row in rows.items():
        if row["source"] in ("", "train"):
            continue
        source = parse(row["source"], where)
        elsewhere = source.scheme and not source.package
        if not (elsewhere or is_made(row["source"]) or source.path.exists()):
            absent.setdefault(str(source.path), []).append(where)
    return absent


def is_made(source: str) -> bool:
    """Whether a rule of the workflow makes the file that a row names as its source."""
    return Path(source).parts[:1] == ("results",)


def _and(others: list[str]) -> str:
    return f" and {len(others)} more row{'s' * (len(others) > 1)}" if others else ""


def listed(path: str | None, where: str) -> Path | None:
    """Path of a list; ValueError if it does not exist."""
    if path and not (place := locate(path)).is_file():
        raise ValueError(f"{where}: the list {path} does not exist")
    return place if path else None


def folder(path: str, where: str) -> Path:
    """Path of a folder; ValueError if it does not exist."""
    if not (place := locate(path)).is_dir():
        raise ValueError(f"{where}: the folder {path} does not exist")
    return place


def _source(row: DatasetRow, split: str, record: Path, where: str) -> list[str]:
    if row["reader"] in GENERATED:
        return []
    if not row["source"]:
        how = f"; to get the data: {row['home']}" if row.get("home") else ""
        raise ValueError(f"{where}: column source is empty: fill it with the path of the data{how}")
    source = parse(row["source"], where)
    if source.remote or source.member or row["reader"] not in ("folder", *PARTS):
        return [str(source.path)]
    if row["reader"] in PARTS:
        return [str(source.path / part.format(split=split)) for part in PARTS[row["reader"]]]
    if folders := _class_folders(source.path, split):
        return folders
    if not source.path.exists() and record.exists():
        return [path for path in record.read_text().splitlines() if Path(path).is_relative_to(source.path)]
    return [str(source.path / split / "CLASS")]


def _class_folders(source: Path, split: str) -> list[str]:
    """Class folders of a split, sorted."""
    if not (source / split).is_dir():
        return []
    with os.scandir(source / split) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))
