"""The atlas: a matrix of all pairs of models, those that are alike next to each other."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.scales import SCALES
from mettle.stages.plot.heatmap import heatmap
from mettle.stages.plot.pairs import axis_label, similarity
from mettle.stages.plot.style import COLUMN, PAGE, style

_CELL = 0.2  # inches of a cell with room for a name beside it
_LETTER = 0.05  # inches of a letter of a name
_WRITTEN = 24  # models up to which scores are written into the cells
_NAMED = 60  # models up to which all are named
_POINTS = 6  # of names, at most


def draw(table: pd.DataFrame) -> Figure:
    """Similarity of each model (rows) to each other one (columns), both in the order of the table's places.

    Where calibrated scores are drawn, pairs that are not more alike than permuted images are white.

    Parameters
    ----------
    table : rows of table `atlas`
    """
    calibrated = (table["shows"] == "calibrated").all()
    scale = SCALES[table["method"].iloc[0]]
    shown = table.assign(value=table["calibrated"]) if calibrated else similarity(table)
    most = 1.0 if calibrated else scale.display(scale.self_value)
    grid, names = _matrix(shown, most)
    limits = (np.nanmin([0.0 if most > 0 else most - 1e-9, np.nanmin(grid)]), most)
    with style():
        side = min(PAGE - 1.2, max(COLUMN - 1.2, _CELL * len(names)))
        margin = _LETTER * max(map(len, names))
        figure, axis = pyplot.subplots(figsize=(side + margin + 0.8, side + margin))
        image = heatmap(axis, grid, limits, "upper", _WRITTEN)
        _name(axis, names, side)
        axis.set_title(table["dataset"].iloc[0])
        label = axis_label(table)
        label = f"calibrated {label.splitlines()[0]}" if calibrated else label
        figure.colorbar(image, ax=axis, label=label, shrink=0.6, aspect=25)
    return figure


def _matrix(rows: pd.DataFrame, most: float) -> tuple[np.ndarray, list[str]]:
    """Displayed scores by place, and labels in that order; a pair that has one score has it in both orders."""
    first, second = (dict(rows[["place" + end, "label" + end]].itertuples(index=False)) for end in ("", "_b"))
    names = [label for _, label in sorted((first | second).items())]
    grid = np.full((len(names), len(names)), np.nan)
    one, other = rows["place"].astype(int), rows["place_b"].astype(int)
    grid[one, other] = rows["value"].astype(float)
    grid = np.where(np.isnan(grid), grid.T, grid)
    np.fill_diagonal(grid, most)
    return grid, names


def _name(axis: Axes, names: list[str], side: float) -> None:
    """Names beside and below the cells, all of them or as many as have room."""
    step = -(-len(names) // _NAMED)
    places = range(0, len(names), step)
    size = min(_POINTS, 72 * side / len(places))
    axis.set_xticks(places, [names[place] for place in places], rotation=90, fontsize=size)
    axis.set_yticks(places, [names[place] for place in places], fontsize=size)
