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


def summarise(attacks: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the accuracy table: clean once per model, attacked once per model and attack, there with all doubts."""
    keys = ["dataset", "split", "model", "attack", "norm", "eps"]
    rows = []
    for values, group in attacks.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"measure": "accuracy"}
        if not any(row["model"] == cell["model"] and row["attack"] == "clean" for row in rows):
            clean = cell | {"attack": "clean", "norm": None, "eps": 0.0}
            rows.append(clean | share_of(group["clean_prediction"] == group["label"]))
        rows.append(cell | share_of(group["prediction"] == group["label"]) | {"note": doubts(group)})
    return rows


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
