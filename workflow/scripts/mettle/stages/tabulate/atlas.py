"""Rows of the atlas: all pairs of some models, and the order in which models that are alike are next to each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from mettle.scales import SCALES, Scale

Row = dict[str, Any]
# Columns that only scores of penultimate features have, or only those of layers.
_EITHER = ("layer", "layer_b", "norm", "eps", "baseline", "floor", "p", "calibrated")


def atlas(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Pairs of the models of an atlas, with their labels and the places of the models in its drawing.

    Parameters
    ----------
    cells : rows of the compare table, or of that of layers
    options : of the figure, with `models` and their `labels`
    beside : nothing
    """
    if options["layers"] == "best":
        cells = most_alike(cells)
    models, words = options["models"], options["labels"]
    frame = cells[cells["model"].isin(models) & cells["model_b"].isin(models)]
    order = {name: place for place, name in enumerate(clustered(frame, models, options["shows"]))}
    frame = frame.assign(
        label=frame["model"].map(words),
        label_b=frame["model_b"].map(words),
        place=frame["model"].map(order),
        place_b=frame["model_b"].map(order),
        shows=options["shows"],
    )
    frame = frame.assign(**{name: None for name in _EITHER if name not in frame})
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def most_alike(cells: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of each pair of models, that of the two layers which are most alike; the first if none has a score.

    Parameters
    ----------
    cells : rows of the table of similarity of layers, of one measure
    """
    shown = cells["value"].astype(float).map(_scale(cells).display).fillna(-np.inf)
    best = [shown[group.index].idxmax() for _, group in cells.groupby(["model", "model_b"], sort=False)]
    return cells.loc[best]


def clustered(pairs: pd.DataFrame, models: Sequence[str], shows: str) -> list[str]:
    """Models in the order of a hierarchical clustering, with average linkage, in which neighbours are alike.

    Leaves are ordered as by Bar-Joseph et al. 2001 (doi:10.1093/bioinformatics/17.suppl_1.S22). Models whose score
    is undefined are as far apart as the farthest ones.

    Parameters
    ----------
    pairs : rows with `model`, `model_b`, `method` and scores, of one measure
    models : names of all models
    shows : column of the scores that models are ordered by: `value` or `calibrated`
    """
    if len(models) < 3:
        return list(models)
    scale = _scale(pairs)
    most, turn = (1.0, float) if shows == "calibrated" else (scale.display(scale.self_value), scale.display)
    apart = np.full((len(models), len(models)), np.nan)
    places = {name: place for place, name in enumerate(models)}
    for one, other, score in zip(pairs["model"], pairs["model_b"], pairs[shows].astype(float), strict=True):
        apart[places[one], places[other]] = most - turn(score)
    both = np.stack([apart, apart.T])
    known = ~np.isnan(both)
    total = np.where(known, both, 0).sum(axis=0)
    mean = np.divide(total, known.sum(axis=0), out=np.full_like(total, np.nan), where=known.any(axis=0))
    farthest = np.nanmax(mean, initial=0.0)
    mean = np.where(np.isnan(mean), farthest, np.maximum(mean, 0))
    np.fill_diagonal(mean, 0)
    tree = linkage(squareform(mean, checks=False), "average", optimal_ordering=True)
    return [models[leaf] for leaf in leaves_list(tree)]


def _scale(rows: pd.DataFrame) -> Scale:
    return SCALES[rows["method"].iloc[0]]
