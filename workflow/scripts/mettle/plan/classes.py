"""Classes: which rows decide the labels of a data set, and whether they are the classes of a model."""

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

# Cells that class names may come from.
_CELLS = ("dataset", "reader", "classes", "source", "subset", "names", "train", "test")


def alike(datasets: Mapping[str, Row], one: str, other: str) -> bool:
    """Whether labels of two data sets can mean the same classes: they have equally many."""
    return datasets[one]["classes"] == datasets[other]["classes"]


def named_by(datasets: Mapping[str, Row], name: str) -> Row:
    """Cells of a data set's row that its class names may come from, with those of its parent.

    Under `parent_row` stands the same of the parent, as far up as data sets have equally many classes; a data set
    with other classes than its parent has names of its own.
    """
    row = datasets[name]
    found = {key: row[key] for key in _CELLS if row.get(key)}
    if row.get("parent") and alike(datasets, name, row["parent"]):
        found["parent_row"] = named_by(datasets, row["parent"])
    return found


def check_parents(datasets: Mapping[str, Row], sheet: str) -> None:
    """Raise ValueError where a data set is its own parent, by way of others or not."""
    for name in datasets:
        line = [name]
        while parent := datasets[line[-1]].get("parent"):
            if parent in line:
                raise ValueError(f"{sheet}, row '{name}', parent: leads back to itself, {' -> '.join([*line, parent])}")
            line.append(parent)
