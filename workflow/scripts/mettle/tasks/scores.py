"""Scores of tasks with their confidence intervals, computed from the answers in tables, without a model or torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mettle.stats import proportion_of

Result = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """
    A number that sums up the answers to many images.

    Attributes
    ----------
    measure : name in tables
    of : ``of(answers, clean=False)``, from rows of the task's table to n, value, lo, hi and note; `clean` scores the
        answers to clean images
    """

    measure: str
    of: Callable[..., Result]


def accuracy(answers: pd.DataFrame, *, clean: bool = False) -> Result:
    """Share of correctly classified images, with its 95 % Wilson interval.

    Parameters
    ----------
    answers : rows with `label`, and `prediction` or `clean_prediction`
    clean : whether to score the answers to clean images instead of attacked ones
    """
    return proportion_of(answers["clean_prediction" if clean else "prediction"] == answers["label"])


ACCURACY = Score("accuracy", accuracy)
