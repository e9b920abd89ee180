"""Clean and attacked accuracy of models, from the answers to every image."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mettle import schema
from mettle.stats import share_of

Row = dict[str, Any]

# Columns of the attack table that cast doubt on an evaluation, in words.
_FLAGS = {
    "gradient_zero": "zero gradient",
    "randomised": "randomised output",
    "probabilities": "outputs that look like probabilities",
}


def summarise(attacks: pd.DataFrame, per_class: bool = False) -> list[Row]:
    """Rows of the accuracy table: clean once per model, attacked once per model and attack, there with all doubts.

    Parameters
    ----------
    attacks : rows of the attack table
    per_class : whether each row is followed by one per true class, measure `accuracy of class 3`
    """
    keys = ["dataset", "split", "model", "attack", "norm", "eps"]
    rows = []
    for values, group in attacks.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"measure": "accuracy"}
        if not any(row["model"] == cell["model"] and row["attack"] == "clean" for row in rows):
            clean = cell | {"attack": "clean", "norm": None, "eps": 0.0}
            rows += _shares(clean, group, "clean_prediction", per_class)
        first, *rest = _shares(cell, group, "prediction", per_class)
        rows += [first | {"note": doubts(group)}, *rest]
    return rows


def _shares(cell: Row, answers: pd.DataFrame, column: str, per_class: bool) -> list[Row]:
    """Accuracy of all images, and of those of each class."""
    correct = answers[column] == answers["label"]
    classes = correct.groupby(answers["label"]) if per_class else ()
    rows = [cell | share_of(correct)]
    return rows + [cell | {"measure": f"accuracy of class {label}"} | share_of(part) for label, part in classes]


def doubts(answers: pd.DataFrame) -> str | None:
    """Share of images with each flag, and what the rows say to do; None where all is well."""
    flagged = {text: answers[key].mean() for key, text in _FLAGS.items() if answers[key].any()}
    shares = [f"{text} for {part:.1%} of the images" for text, part in flagged.items()]
    return "; ".join([*shares, *answers["note"].dropna().unique()]) or None


def compared(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Measured beside published accuracy, clean and attacked.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the table
    beside : the sheet of published accuracies
    """
    rows = []
    for row in schema.read_sheet(beside[0], "published").values():
        part = cells[cells["model"] == row["model"]]
        if part.empty:
            continue
        cell = {key: part[key].iloc[0] for key in ("dataset", "model", "attack", "norm", "eps")}
        for measure, column, known in (
            ("clean accuracy", "clean_prediction", row["clean"]),
            ("robust accuracy", "prediction", row["autoattack"]),
        ):
            found = share_of(part[column] == part["label"])
            beside = {"published": known, "difference": found["value"] - known, "source": row["source"]}
            rows.append(cell | {"measure": measure} | found | beside)
    return rows


def accuracy(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Clean and attacked accuracy of every model, by class where the options ask for it."""
    return summarise(cells, options["per_class"])
