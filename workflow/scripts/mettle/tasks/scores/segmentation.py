"""Scores of semantic segmentation, from pixels of each class counted per image."""

import numpy as np
import pandas as pd

from mettle.tasks.scores.score import Score


def _pixels(answers: pd.DataFrame, column: str, weights: np.ndarray) -> np.ndarray:
    """Pixels of each class over all images (b, classes), each image counted as often as its weight says."""
    return weights.astype(np.float64) @ np.stack(answers[column].to_numpy()).astype(np.float64)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Quotient; NaN where the divisor is 0."""
    return np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean (b,) over the classes (b, classes) that have a value; NaN where none has."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0).sum(1), there.sum(1))


def _miou(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    both, predicted, true = (_pixels(answers, key, weights) for key in ("intersection", "predicted", "true"))
    return _mean(_ratio(both, predicted + true - both))


def _macc(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return _mean(_ratio(*(_pixels(answers, key, weights) for key in ("intersection", "true"))))


def _aacc(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return _ratio(*(_pixels(answers, key, weights).sum(1) for key in ("intersection", "true")))


SEGMENTATION = {
    score.measure: score
    for score in (
        Score("miou", "intersection over union of each class, mean over classes that are true or predicted", _miou),
        Score("macc", "share of the pixels of each class that are right, mean over the classes that occur", _macc),
        Score("aacc", "share of all pixels that are right", _aacc),
    )
}
