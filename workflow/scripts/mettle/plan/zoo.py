"""
RobustBench's model zoo: what a source `robustbench:DATASET/THREAT/NAME` of a row of models stands for.

The row is filled in with architecture, input, format, threat, eps and the address of the weights, and from then on it
is a row like any other. Its published numbers are those of the entry of the same name in `resources/published`.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mettle import files, schema
from mettle.plan import sources
from mettle.typed import DatasetRow, ModelRow

SCHEME = "robustbench"
PUBLISHED = "resources/published/robustbench.tsv"
LICENCE = "MIT"  # of the zoo; authors may have their own
# Numbers of classes by data set of the zoo.
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
_FILLED = ("arch", "format", "part", "size", "resize", "interpolation", "mean", "std", "threat", "eps")

Row = dict[str, Any]


@cache
def entries() -> dict[str, Row]:
    """Every entry of the zoo by `DATASET/THREAT/NAME`: columns of a row of models, or `lacks`, why there are none."""
    return schema.read_sheet(Path(__file__).with_name("robustbench.tsv"), "zoo")


@cache
def published() -> dict[str, Row]:
    """What is published of every entry, by the same names."""
    return schema.read_sheet(files.locate(PUBLISHED), "published")


def fill(row: ModelRow, datasets: Mapping[str, DatasetRow], where: str) -> None:
    """Fill in a row whose source is an entry of the zoo; any other row is left alone.

    Parameters
    ----------
    row : of a sheet of models, changed in place: its source becomes the address of the weights
    datasets : rows by name
    where : sheet and row, for messages

    Raises
    ------
    ValueError
        If the zoo has no such entry, it cannot be built, its classes are not those of the row's data set, or the row
        states something else than the zoo.
    """
    if not row["source"].startswith(f"{SCHEME}:"):
        return
    source = sources.parse(row["source"], where)
    if source.member:
        raise ValueError(f"{where}: column source: nothing comes after '{source.address}', got '#{source.member}'")
    name = source.address.removeprefix(f"{SCHEME}:")
    entry = _entry(name, where)
    _check_classes(row, datasets, name, where)
    for key in _FILLED:
        if row.get(key, "") not in ("", entry.get(key, "")):
            raise ValueError(
                f"{where}: column {key} is {_shown(row[key])}, but its source '{source.address}' has "
                f"{_shown(entry.get(key, 'none'))}: leave the cell empty"
            )
    row.update({key: entry[key] for key in _FILLED if key in entry})
    paper = published().get(name, {})
    row["source"], row["published"] = entry["source"], row.get("published", name)
    row.setdefault("label", name.rpartition("/")[2])
    row["licence"] = row["licence"] or LICENCE
    row["reference"] = row["reference"] or reference(paper)


def address(cell: str, where: str) -> str:
    """A cell of the column `source`, or the address of the weights where it is an entry of the zoo."""
    if not cell.startswith(f"{SCHEME}:"):
        return cell
    return _entry(sources.parse(cell, where).address.removeprefix(f"{SCHEME}:"), where)["source"]


def reference(paper: Row) -> str:
    """Title of a paper, and where it appeared."""
    venue = paper.get("venue")
    return paper.get("title", "") + (f" ({venue})" if venue else "")


def _entry(name: str, where: str) -> Row:
    """An entry that can be built."""
    known = entries()
    if name not in known:
        board, _, last = name.rpartition("/")
        boards = dict.fromkeys(other.rpartition("/")[0] for other in known)
        there = [other.rpartition("/")[2] for other in known if other.startswith(f"{board}/")]
        listed = "; workflow/scripts/mettle/plan/robustbench.tsv lists its entries"
        meant = schema.suggest(last, there) or listed if there else f"; there are {', '.join(boards)}"
        raise ValueError(f"{where}: column source: RobustBench has no '{name}'{meant}")
    if lacks := known[name].get("lacks"):
        raise ValueError(
            f"{where}: column source: '{name}' of RobustBench cannot be used, since {lacks}; of "
            f"{name.rpartition('/')[0]} there are {', '.join(_architectures(name))}"
        )
    return known[name]


def _architectures(name: str) -> list[str]:
    """Architectures that can be built of the entries of the same data set and threat."""
    board = name.rpartition("/")[0]
    found = (entry.get("arch") for other, entry in entries().items() if other.rpartition("/")[0] == board)
    return sorted({arch for arch in found if arch})


def _check_classes(row: ModelRow, datasets: Mapping[str, DatasetRow], name: str, where: str) -> None:
    needs, has = _CLASSES[name.split("/")[0]], datasets.get(row["dataset"], {}).get("classes")
    if has not in (None, needs):
        raise ValueError(f"{where}: '{name}' of RobustBench has {needs} classes, '{row['dataset']}' has {has}")


def _shown(value: Any) -> str:
    return ", ".join(f"{one:g}" for one in value) if isinstance(value, list) else f"'{value}'"
