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


def _miou_of_each(both: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean intersection over union (n,) of pixels of each class (n, classes)."""
    both = both.astype(np.float64)
    return _mean(_ratio(both, predicted + true - both))


def _miou(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return _miou_of_each(*(_pixels(answers, key, weights) for key in ("intersection", "predicted", "true")))


def _macc(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return _mean(_ratio(*(_pixels(answers, key, weights) for key in ("intersection", "true"))))


def _aacc(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    return _ratio(*(_pixels(answers, key, weights).sum(1) for key in ("intersection", "true")))


def _per_image(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    alone = _miou_of_each(*(np.stack(answers[key].to_numpy()) for key in ("intersection", "predicted", "true")))
    there = ~np.isnan(alone)
    weights = weights.astype(np.float64)
    return _ratio(weights @ np.where(there, alone, 0), weights @ there)


SEGMENTATION = {
    score.measure: score
    for score in (
        Score("miou", "intersection over union of each class, mean over classes that are true or predicted", _miou),
        Score("macc", "share of the pixels of each class that are right, mean over the classes that occur", _macc),
        Score("aacc", "share of all pixels that are right", _aacc),
        Score(
            "miou_per_image",
            "mIoU of each image alone, mean over images: what Pulfer et al. 2024 (arXiv:2503.10191) report as mIoU",
            _per_image,
        ),
    )
}
