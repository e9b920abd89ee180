"""Class names of a data set in the order of its labels, and whether two data sets agree on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mettle.data.item import Item, check_classes
from mettle.data.lists import read_list
from mettle.plan.sources import parse
from mettle.typed import DatasetRow

_REMEDY = "list all classes in the order of the labels in a file, and name it in column `names`"


class Known(NamedTuple):
    """Class names in the order of the labels, and the list or data set that they are from."""

    names: list[str]
    of: str


def known(row: DatasetRow) -> Known | None:
    """Names of the classes by the row's list, else by its parent; None if only the source has them.

    For a parent without a list and without a parent, its folders count, if they are on disk.

    Parameters
    ----------
    row : cells of datasets.tsv, those of a parent with the same classes under `parent_row`, and so on

    Raises
    ------
    ValueError
        If a list is missing, is not as long as there are classes, or has other names than that of the parent.
    """
    own, parent = _listed(row), row.get("parent_row")
    above = parent and (known(parent) or _of_folders(parent))
    if own and above and (difference := differ(own.names, above.names)):
        raise ValueError(f"{own.of}: {difference} in {above.of}")
    return own or above


def folders(row: DatasetRow, source: Path | None = None) -> list[str] | None:
    """Names of the classes by class folders: those that `subset` lists, else those on disk, in sorted order.

    Parameters
    ----------
    row : cells of datasets.tsv
    source : the folder with the splits; None takes that of the row

    Returns
    -------
    Names, or None if the reader is not `folder` or its source is not on disk.

    Raises
    ------
    ValueError
        If the splits of the row have other class folders.
    """
    if row["reader"] != "folder":
        return None
    held = _held(source or _folder(row), [row.get("train"), row.get("test")])
    listed = read_list(row["subset"]) if row.get("subset") else []
    if listed and not set().union(*held.values()).isdisjoint(listed):
        return sorted(listed)
    _check_same(held, source or _folder(row))
    return sorted(next(iter(held.values()), [])) or None


def checked(items: Iterable[Item], found: Known, own: bool) -> Iterator[Item]:
    """Images with the class names of a list; a source that names its classes has to agree.

    Parameters
    ----------
    items : the images; a class named by its index has no name in the source
    found : the names
    own : whether the list is the row's own, whose names may differ from those of the source

    Raises
    ------
    ValueError
        If the source has a name at another label, or one that is not in a list that is not the row's own.
    """
    for item in items:
        if item.label is None:
            yield item
            continue
        given = found.names[item.label] if item.label < len(found.names) else item.class_name
        if item.class_name not in (given, str(item.label)) and not (own and item.class_name not in found.names):
            remedy = "" if own else f"; if they are the same, {_REMEDY}"
            raise ValueError(
                f"{item.source}: class {item.label} is '{item.class_name}', but '{given}' in {found.of}{remedy}"
            )
        yield replace(item, class_name=given)


def differ(a: Sequence[str], b: Sequence[str]) -> str:
    """The first class whose name in b differs from that in a, as `class 1 is 'banana', but 'cherry'`, or empty.

    Parameters
    ----------
    a, b : names in the order of the labels; one that is only the label's number does not count, unless both are
    """
    for label, (one, other) in enumerate(zip(a, b, strict=False)):
        unnamed = str(label) in (one, other) and not (one.isdigit() and other.isdigit())
        if one != other and not unnamed:
            return f"class {label} is '{one}', but '{other}'"
    return ""


def _listed(row: DatasetRow) -> Known | None:
    if not row.get("names"):
        return None
    names = read_list(row["names"])
    check_classes(len(names), row.get("map_classes", row["classes"]), row["names"])
    return Known(names, row["names"])


def _of_folders(row: DatasetRow) -> Known | None:
    names = folders(row)
    return names and Known(names, f"data set '{row['dataset']}'")


def _folder(row: DatasetRow) -> Path | None:
    """The folder that a row is read from, if it is one on disk."""
    source = parse(row.get("source", ""), f"row '{row['dataset']}'")
    return source.path if source.address and not source.member and source.path.is_dir() else None


def _held(source: Path | None, splits: Iterable[str | None]) -> dict[str, set[str]]:
    """Class folders of the splits that are on disk."""
    found = [split for split in splits if split and source and (source / split).is_dir()]
    return {split: {path.name for path in class_folders(source / split)} for split in found}


def class_folders(folder: Path) -> list[Path]:
    """Folders in a folder, by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _check_same(held: Mapping[str, set[str]], source: Path | None) -> None:
    only = {split: sorted(names - set.intersection(*held.values())) for split, names in held.items()}
    if any(only.values()):
        parts = [f"only {split} has {_some(names)}" for split, names in only.items() if names]
        raise ValueError(
            f"{source}: the class folders of its splits differ, so labels would: {', '.join(parts)}; give all splits "
            f"the same class folders, or {_REMEDY}"
        )


def _some(names: list[str]) -> str:
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
