"""Accuracy by eps from the distances of the nearest images that fool."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.stages.tabulate.accuracy import summarise
from mettle.stats import proportion

Row = dict[str, Any]
_POINTS = 500  # of a curve
_KEYS = ["dataset", "split", "model", "attack", "norm", "eps"]


def curves(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Points of each model's curve, then those of its attacks at one eps.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure: `attack`, whose distances make the curve, and `labels` by model
    beside : nothing
    """
    smallest = cells["attack"] == options["attack"]
    rows = [row | {"part": "curve"} for row in _curves(cells[smallest])]
    rows += [row | {"part": "point"} for row in summarise(cells[~smallest]) if row["attack"] != "clean"]
    return [row | {"label": options["labels"][row["model"]]} for row in rows]


def _curves(cells: pd.DataFrame) -> list[Row]:
    rows = []
    for values, answers in cells.groupby(_KEYS, sort=False):
        cell, n = dict(zip(_KEYS, values, strict=True)), len(answers)
        clean, note = float((answers["clean_prediction"] == answers["label"]).mean()), tables.doubts_of(answers)
        for eps, right in _falls(answers, cell["eps"]):
            rows.append(
                cell | {"eps": eps, "measure": "accuracy"} | proportion(right, n) | {"clean": clean, "note": note}
            )
    return rows


def _falls(answers: pd.DataFrame, eps: float) -> list[tuple[float, int]]:
    """Eps from 0 to that of the attack at which accuracy falls, and the number of images that are right from there on.

    An image is right as long as eps is below the distance of the nearest image that fools; one that was wrong before
    the attack never is, and one that nothing fools always.
    """
    wrong = answers["prediction"] != answers["label"]
    unattacked = answers["clean_prediction"] != answers["label"]
    distances = answers["distance"].where(wrong, np.inf).mask(unattacked, 0.0).sort_values().to_numpy()
    at = np.unique(np.concatenate([[0.0], distances[distances <= eps], [eps]]))
    if len(at) > _POINTS:
        at = at[np.linspace(0, len(at) - 1, _POINTS).round().astype(int)]
    fallen = np.searchsorted(distances, at, side="right")
    return [(float(one), len(distances) - int(gone)) for one, gone in zip(at, fallen, strict=True)]
