"""Scores of classification."""

import numpy as np
import pandas as pd

from mettle.stats import proportion_of
from mettle.tasks.scores.score import Result, Score


def accuracy(answers: pd.DataFrame, *, clean: bool = False) -> Result:
    """Share of correctly classified images, with its 95 % Wilson interval.

    Parameters
    ----------
    answers : rows with `label`, and `prediction` or `clean_prediction`
    clean : whether to score the answers to clean images instead of attacked ones
    """
    return proportion_of(answers["clean_prediction" if clean else "prediction"] == answers["label"])


def _right(answers: pd.DataFrame) -> np.ndarray:
    return (answers["prediction"] == answers["label"]).to_numpy(np.float64)


def _accuracy(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return weights @ _right(answers) / weights.sum(1)


def _mean_class_accuracy(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Mean over the classes that a sample has."""
    codes = pd.factorize(answers["label"])[0]
    of_class = np.eye(codes.max() + 1)[codes]  # (n, classes)
    total = weights @ of_class
    with np.errstate(invalid="ignore"):
        return np.nanmean(weights @ (of_class * _right(answers)[:, None]) / np.where(total, total, np.nan), axis=1)


CLASSIFICATION = {
    score.measure: score
    for score in (
        Score("accuracy", "share of correctly classified images", _accuracy),
        Score("mean_class_accuracy", "mean over the true classes of the accuracy of each", _mean_class_accuracy),
    )
}
