"""Functional similarity of pairs of models: their predictions for the same images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mettle.measures import functional
from mettle.measures.functional import Answers
from mettle.stages.compare.representation import Representation, pairs
from mettle.stages.compare.similarity import result
from mettle.stats import proportion

Row = dict[str, Any]


def agreements(
    first: Sequence[str | Path],
    second: Sequence[str | Path],
    keys: Row,
    progress: Callable = list,
) -> list[Row]:
    """
    Rows of the agree table: per pair every functional measure, and on natural images what the accuracies suggest.

    Parameters
    ----------
    first, second : files of the represent stage, the i-th compared with the i-th
    keys : dataset, norm, eps
    progress : wraps the list of pairs and shows how far they are

    Raises
    ------
    ValueError
        If two files hold different images, other labels, or logits that are not finite.
    """
    rows = []
    for one, other in pairs(progress(list(zip(first, second, strict=True))), "logits"):
        cell = keys | {"images": one.images, "model": one.model, "model_b": other.model}
        try:
            rows += [cell | row for row in _scores(_answers(one), _answers(other), one.images)]
        except ValueError as error:
            raise ValueError(f"{one} and {other}: {error}") from error
        del one, other  # before the next one is read
    return rows


def _answers(of: Representation) -> Answers:
    if not np.isfinite(of.logits).all():
        raise ValueError(f"some logits of {of.model} are not finite")
    if (classes := of.logits.shape[1]) <= of.prediction.max():
        raise ValueError(f"{of.model} predicts class {of.prediction.max()} of {classes} classes")
    return Answers(of.label, of.prediction, of.logits)


def _scores(a: Answers, b: Answers, images: str) -> list[Row]:
    n = len(a.label)
    rows = []
    for name in functional.FUNCTIONAL:
        value = functional.compare(name, a, b)
        note = None if value is not None else "undefined: the error rates of the two models allow a single value only"
        found = proportion(round(value * n), n) if name == "disagreement" else result(n, value, note)
        rows.append({"measure": name} | found)
    if not images.startswith("inverted-"):
        upper, lower = functional.bounds(1 - a.error, 1 - b.error, a.logits.shape[1])
        rows += [{"measure": "agreement_upper"} | result(n, upper), {"measure": "agreement_lower"} | result(n, lower)]
    return rows
