"""Clean and attacked accuracy of models, from the predictions for every image."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mettle import schema, tables
from mettle.tasks.scores import accuracy as accuracy_of
from mettle.tasks.scores.worst import worst

Row = dict[str, Any]
_APART = {"n": 0, "value": None, "lo": None, "hi": None, "clean": None, "note": "no image was seen by all attacks"}
_CELL = ["dataset", "split", "model", "attack", "norm", "eps"]


def summarise(attacks: pd.DataFrame, per_class: bool = False) -> list[Row]:
    """Rows of the accuracy table: clean once per data set, model and set of images, attacked once per cell.

    An attacked row has the clean accuracy on the same images beside it, and all doubts.

    Parameters
    ----------
    attacks : rows of the attack table
    per_class : whether each row is followed by one per true class, measure `accuracy of class 3`
    """
    rows, seen = [], set()
    for values, group in attacks.groupby(_CELL, sort=False, dropna=False):
        cell = dict(zip(_CELL, values, strict=True))
        images = (cell["dataset"], cell["split"], cell["model"], frozenset(group["id"]))
        if images not in seen:
            rows += _shares(cell | {"attack": "clean", "norm": None, "eps": 0.0}, group, per_class)
        seen.add(images)
        rows += _shares(cell, group, per_class)
    return rows


def _shares(cell: Row, answers: pd.DataFrame, per_class: bool) -> list[Row]:
    """Accuracy of all images, and of those of each class."""
    parts = [("accuracy", answers)]
    if per_class:
        parts += [(f"accuracy of class {label}", part) for label, part in answers.groupby("label")]
    score = _clean if cell["attack"] == "clean" else _attacked
    return [cell | {"measure": measure} | score(part) for measure, part in parts]


def _clean(answers: pd.DataFrame) -> Row:
    return accuracy_of(answers, clean=True) | {"clean": None}


def _attacked(answers: pd.DataFrame) -> Row:
    return accuracy_of(answers) | {"clean": _clean(answers)["value"], "note": tables.doubts_of(answers)}


def accuracy(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Clean and attacked accuracy of every model, then the worst case, by class where the options ask for it."""
    rows = [row | {"over": None} for row in summarise(cells, options["per_class"])]
    return rows + _worst(cells, options["per_class"])


def _worst(cells: pd.DataFrame, per_class: bool = False) -> list[Row]:
    rows = []
    for cell, answers in worst(cells):
        rows += _shares(cell, answers, per_class) if len(answers) else [cell | {"measure": "accuracy"} | _APART]
    return rows


def surrogates(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Accuracy of every model under each attack, with the model that the attack saw.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure, with `labels` of the models, `seen`, the model that each attack saw, and `words` for it
    beside : nothing
    """
    rows = []
    for row in summarise(cells):
        if row["attack"] != "clean":
            seen = options["seen"][row["attack"]]
            about = {"label": options["labels"][row["model"]], "label_through": options["words"][seen]}
            rows.append(row | {"through": seen} | about)
    return rows


def compared(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Measured beside published accuracy, clean and attacked, on the data set and in the ball of the published number.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the table, perhaps with `published_as`, names of models in the sheet where these are not their own
    beside : the sheet of published accuracies
    """
    names = cells["model"].replace(options.get("published_as", {}))
    keys = ["dataset", "model", "attack", "norm", "eps"]
    rows = []
    for published in schema.read_sheet(beside[0], "published").values():
        same = (cells["dataset"] == published["images"]) & (names == published["model"])
        same &= (cells["norm"] == published.get("norm")) & (cells["eps"] == published.get("eps"))
        for values, part in cells[same].groupby(keys, sort=False):
            cell = dict(zip(keys, values, strict=True)) | {"source": published["source"]}
            clean, attacked = _clean(part), _attacked(part)
            rows.append(cell | _beside("clean accuracy", clean, published["clean"]))
            rows.append(cell | _beside("robust accuracy", attacked, published["autoattack"]))
    return rows


_CLEAN_ONLY = "trained without an attack: no eps to be attacked at"


def own(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Accuracy of every model, clean, beside what was published, and in the ball of its own training attack.

    Parameters
    ----------
    cells : rows of the attack table; those of models that were trained without an attack have eps 0
    options : of the table, as in `compared`
    beside : the sheet of published accuracies
    """
    names = options.get("published_as", {})
    known = {(row["images"], row["model"]): row for row in schema.read_sheet(beside[0], "published").values()}
    standard = set(cells[cells["eps"] == 0]["model"])
    rows = []
    for row in summarise(cells):
        if row["attack"] == "clean":
            note = {"note": _CLEAN_ONLY if row["model"] in standard else None}
            rows.append(
                row
                | note
                | _as_published(row["value"], known.get((row["dataset"], names.get(row["model"], row["model"]))))
            )
        elif row["eps"]:
            rows.append(row | _as_published(row["value"], None))
    return [row | {"over": None} for row in rows] + [row | _as_published(None, None) for row in _worst(cells)]


def _as_published(value: float | None, known: Row | None) -> Row:
    if known is None:
        return {"published": None, "difference": None, "source": None}
    return {"published": known["clean"], "difference": value - known["clean"], "source": known["source"]}


def _beside(measure: str, found: Row, known: float) -> Row:
    result = {key: value for key, value in found.items() if key != "clean"}
    return {"measure": measure} | result | {"published": known, "difference": found["value"] - known}
