"""Clean and attacked accuracy of models, from the answers to every image."""

from typing import Any

import pandas as pd
from scipy.stats import binomtest

# Columns of the attack table that cast doubt on an evaluation, in words.
_FLAGS = {
    "gradient_zero": "zero gradient",
    "randomised": "randomised output",
    "probabilities": "outputs that look like probabilities",
}


def summarise(attacks: pd.DataFrame, per_class: bool = False) -> list[dict[str, Any]]:
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


def _shares(cell: dict[str, Any], answers: pd.DataFrame, column: str, per_class: bool) -> list[dict[str, Any]]:
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


def share(correct: int, n: int) -> dict[str, Any]:
    """Share of correct answers with its 95 % Wilson interval."""
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return {"n": n, "value": correct / n, "lo": interval.low, "hi": interval.high, "note": None}


def share_of(correct: pd.Series) -> dict[str, Any]:
    """Share of true values with its 95 % Wilson interval."""
    return share(int(correct.sum()), len(correct))
