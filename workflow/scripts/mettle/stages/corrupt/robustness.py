"""Scores of a model under a set of corruptions, of each condition, means and ratios, with intervals. No torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.plan.corrupted import CLEAN
from mettle.tasks import scores
from mettle.tasks.scores import robustness
from mettle.tasks.scores.robustness import ALL_OF_THEM, Cell, Grid, Reference

Row = dict[str, Any]


def summarise(
    cells: Sequence[str | Path],
    task: str,
    types: Sequence[str],
    severities: Sequence[int],
    draws: int,
    seed: int,
    reference: str | Path | None = None,
) -> list[Row]:
    """Rows of the table `robustness_scores`.

    The bootstrap draws images, the same ones for every condition: intervals of means and ratios take into account that
    conditions share images. Of errors there is no ratio to the clean one, which would grow as a model gets worse.

    Parameters
    ----------
    cells : tables of the answers under all conditions, and of those to clean images
    task : of the model
    types, severities : that there have to be
    draws : bootstrap samples
    seed : of the draws
    reference : table of the errors of the network that corruption errors are relative to; None for no such errors

    Raises
    ------
    ValueError
        If a condition is missing, or conditions are of different images.
    """
    clean, by_condition = conditions(cells, task)
    keys = {key: clean[key].iloc[0] for key in ("dataset", "split", "model")} | {"task": task}
    weights = scores.samples(len(clean), draws, np.random.default_rng(seed))
    rows = []
    for score in scores.SCORES[task].values():
        before = score.of(clean, weights)
        found = {key: score.of(part, weights) for key, part in by_condition.items()}
        whole = robustness.grid(found, types, severities)
        values = list(_scores(whole, before, relative=not score.error))
        if reference and score.measure == "accuracy":
            values += _errors(whole, before, robustness.reference(reference))
        for (kind, severity, statistic), value in values:
            about = {"corruption": kind, "severity": severity, "measure": score.measure, "statistic": statistic}
            rows.append(keys | about | scores.result(value, len(clean), score.undefined))
    return rows


def conditions(cells: Sequence[str | Path], task: str) -> tuple[pd.DataFrame, dict[Cell, pd.DataFrame]]:
    """Answers to clean images, and to the same ones under each condition; parameters and errors as of `summarise`."""
    answers = tables.concat(cells, tables.CORRUPT[task])
    found = dict(list(answers.groupby(["corruption", "severity"], sort=False)))
    clean = found.pop((CLEAN, 0))
    for (kind, severity), part in found.items():
        if part["id"].tolist() != clean["id"].tolist():
            raise ValueError(f"answers to {kind} at severity {severity} are of other images than those to clean ones")
    return clean, found


Value = tuple[tuple[str, int | None, str], np.ndarray]


def _scores(whole: Grid, clean: np.ndarray, *, relative: bool) -> Iterator[Value]:
    """The clean score, those of the conditions, and their means by part, absolute and, if asked for, relative."""
    yield (CLEAN, 0, "score"), clean
    for (kind, severity), value in whole.cells.items():
        yield (kind, severity, "score"), value
    for part, grid in robustness.parts(whole).items():
        mean = robustness.mean(grid)
        yield (*part, "mpc"), mean
        if relative:
            yield (*part, "rpc"), robustness.relative(mean, clean)


def _errors(accuracy: Grid, clean: np.ndarray, reference: Reference) -> Iterator[Value]:
    """Corruption errors and their mean, absolute and relative to the clean error, where the reference has all."""
    errors = Grid({cell: 1 - value for cell, value in accuracy.cells.items()})
    for prefix, before in (("", None), ("relative_", 1 - clean)):
        for kind, value in robustness.corruption_errors(errors, reference, before).items():
            yield (kind, None, f"{prefix}ce"), value
        yield (ALL_OF_THEM, None, f"{prefix}mce"), robustness.mean_corruption_error(errors, reference, before)
