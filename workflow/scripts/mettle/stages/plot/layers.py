"""Similarity of layers: a matrix for each pair of networks, or of a network with itself."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mettle.scales import SCALES
from mettle.stages.plot.heatmap import heatmap
from mettle.stages.plot.pairs import axis_label, similarity
from mettle.stages.plot.style import PAGE, style, wrapped

_COLUMNS = 3
_WRITTEN = 12  # layers a side up to which values are written into the cells
_NAMED = 16  # layers a side that have room for their names


def draw(table: pd.DataFrame) -> Figure:
    """A panel per comparison: similarity of each layer of a network (rows, the first at the bottom) to each of another.

    Parameters
    ----------
    table : rows of table `layers`
    """
    shown = similarity(table)
    panels = [rows for _, rows in shown.groupby(["dataset", "model", "model_b"], sort=False)]
    scale = SCALES[table["method"].iloc[0]]
    most, values = scale.display(scale.self_value), shown["value"].astype(float)
    limits = (np.nanmin([0.0 if most > 0 else most - 1e-9, values.min()]), most)
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    with style():
        side = PAGE / _COLUMNS  # of a panel with the names of its layers, which are as long below as beside it
        figure, axes = pyplot.subplots(lines, columns, figsize=(side * max(columns, 1.5), side * lines), squeeze=False)
        for axis, rows in zip(axes.flat, panels, strict=False):
            image = _panel(axis, rows, limits, side)
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        figure.colorbar(image, ax=axes, label=axis_label(table), shrink=0.6, aspect=30)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, limits: tuple[float, float], side: float) -> AxesImage:
    own, others = (list(dict.fromkeys(rows[key])) for key in ("layer", "layer_b"))
    grid = rows["value"].astype(float).to_numpy().reshape(len(own), len(others))
    image = heatmap(axis, grid, limits, "lower", _WRITTEN)
    for which, names in (("y", own), ("x", others)):
        step = -(-len(names) // _NAMED)
        places = range(0, len(names), step)
        getattr(axis, f"set_{which}ticks")(places, [names[place] for place in places])
    axis.tick_params("x", rotation=90)
    axis.set_ylabel(wrapped(rows["label"].iloc[0], side))
    axis.set_xlabel(wrapped(rows["label_b"].iloc[0], side))
    axis.set_title(rows["dataset"].iloc[0])
    return image
