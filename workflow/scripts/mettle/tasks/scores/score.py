"""The record that defines a score, and its confidence interval over images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Result = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """
    A number that sums up the answers to many images.

    Attributes
    ----------
    measure : name in tables
    about : what it is, in a few words
    of : ``of(answers, weights)``: from the answers, one row per image, and how often each image counts in each of b
        samples (b, n), to the values (b,); NaN where the value is undefined
    undefined : why it may be, for notes
    error : whether it is an error: smaller is better, and there may be no largest value
    """

    measure: str
    about: str
    of: Callable[[pd.DataFrame, np.ndarray], np.ndarray]
    undefined: str = "undefined for these images"
    error: bool = False

    def value(self, answers: pd.DataFrame) -> float:
        """The score of the answers, each image counted once; NaN if it is undefined."""
        return float(self.of(answers, np.ones((1, len(answers))))[0])


def frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of answers as a frame with one row per image; a cell may have several numbers."""
    several = {key for key, value in columns.items() if isinstance(value, np.ndarray) and value.ndim > 1}
    return pd.DataFrame({key: list(value) if key in several else value for key, value in columns.items()})


def clean(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers to clean images, columns `clean_x`, under their own names `x`."""
    before = {name.removeprefix("clean_"): answers[name] for name in answers if name.startswith("clean_")}
    return answers.assign(**before)


def samples(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of n images (draws + 1, n), float32: all images once, then bootstrap samples of n of them."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    return np.concatenate([np.ones((1, n)), drawn]).astype(np.float32)


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of the values of bootstrap samples (b,), those where the score is undefined left out."""
    lo, hi = np.nanquantile(values, [0.025, 0.975])
    return float(lo), float(hi)


def result(values: np.ndarray, n: int, undefined: str) -> Result:
    """Columns of a result from the value and those of bootstrap samples.

    Parameters
    ----------
    values : (1 + b,), the value first
    n : number of images
    undefined : note for a value that is NaN
    """
    if np.isnan(values[0]):
        return {"n": n, "value": None, "lo": None, "hi": None, "note": undefined}
    lo, hi = interval(values[1:])
    return {"n": n, "value": float(values[0]), "lo": lo, "hi": hi, "note": None}
