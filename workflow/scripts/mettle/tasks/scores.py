"""Scores of tasks, with their intervals, from the answers that tables keep: no model is needed, and no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mettle.stats import proportion_of

Result = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """
    The number that sums up the answers to many images.

    Attributes
    ----------
    measure : its name in tables
    of : of rows of a task's table, and whether the clean answers are meant: n, value, lo, hi and note
    """

    measure: str
    of: Callable[..., Result]


def accuracy(answers: pd.DataFrame, *, clean: bool = False) -> Result:
    """Share of images whose predicted class is the true one, with its 95 % Wilson interval.

    Parameters
    ----------
    answers : rows with `label`, and `prediction` or `clean_prediction`
    clean : whether the answers to clean images are scored, or those to attacked ones
    """
    return proportion_of(answers["clean_prediction" if clean else "prediction"] == answers["label"])


ACCURACY = Score("accuracy", accuracy)
