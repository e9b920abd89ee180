"""Scores of depth, from sums over the pixels of each image: each is a mean over images of a value per image."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from mettle.tasks.scores.score import Score

Value = Callable[[pd.DataFrame], np.ndarray]


def _mean(of: Value, answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Mean (b,) over the images that have pixels; NaN for a sample without any."""
    weights = weights.astype(np.float64) * (answers["valid"] > 0).to_numpy()
    total = weights.sum(1)
    values = weights @ of(answers)
    return np.divide(values, total, out=np.full(len(total), np.nan), where=total > 0)


def _per_pixel(answers: pd.DataFrame, column: str) -> np.ndarray:
    """Mean of a term over the pixels of each image (n,)."""
    return answers[column].to_numpy(np.float64) / np.maximum(answers["valid"].to_numpy(np.float64), 1)


def _root(answers: pd.DataFrame, column: str) -> np.ndarray:
    return np.sqrt(_per_pixel(answers, column))


def _deviation(answers: pd.DataFrame) -> np.ndarray:
    """Standard deviation of the log difference over the pixels of each image (n,)."""
    squares, means = (_per_pixel(answers, column) for column in ("squared_log_difference", "log_difference"))
    return np.sqrt(np.maximum(squares - means**2, 0))


def _score(measure: str, about: str, of: Value, *, error: bool = True) -> Score:
    return Score(measure, f"{about}, mean over images", partial(_mean, of), error=error)


DEPTH = {
    score.measure: score
    for score in (
        _score("abs_rel", "mean of |p - d| / d over pixels", partial(_per_pixel, column="relative_error")),
        _score("rmse", "root of the mean squared error in metres", partial(_root, column="squared_error")),
        _score("sq_rel", "mean of (p - d)^2 / d in metres", partial(_per_pixel, column="relative_squared_error")),
        _score("rmse_log", "root of the mean of (ln p - ln d)^2", partial(_root, column="squared_log_difference")),
        _score("log10", "mean of |log10 p - log10 d|", partial(_per_pixel, column="log10_error")),
        _score("silog", "standard deviation of ln p - ln d, published times 100", _deviation),
        *(
            _score(
                f"a{power}",
                f"share of pixels with max(p / d, d / p) below 1.25^{power}",
                partial(_per_pixel, column=f"within_{power}"),
                error=False,
            )
            for power in (1, 2, 3)
        ),
    )
}
