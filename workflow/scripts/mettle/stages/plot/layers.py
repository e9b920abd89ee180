"""Similarity of layers: a matrix for each pair of networks, or of a network with itself."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mettle.scales import SCALES
from mettle.stages.plot.pairs import axis_label, similarity
from mettle.stages.plot.style import PAGE, style, wrapped

_COLUMNS = 3
_WRITTEN = 12  # layers a side up to which values are written into the cells
_NAMED = 16  # layers a side that have room for their names
_DARK = 0.6  # share of the range from which text is white


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
    image = axis.imshow(grid, cmap="Blues", vmin=limits[0], vmax=limits[1], origin="lower", aspect="equal")
    axis.set_facecolor(".85")  # of cells without value
    if max(grid.shape) <= _WRITTEN:
        for place in np.ndindex(grid.shape):
            _write(axis, place, grid[place], limits)
    for which, names in (("y", own), ("x", others)):
        step = -(-len(names) // _NAMED)
        places = range(0, len(names), step)
        getattr(axis, f"set_{which}ticks")(places, [names[place] for place in places])
    axis.tick_params("x", rotation=90)
    axis.set_ylabel(wrapped(rows["label"].iloc[0], side))
    axis.set_xlabel(wrapped(rows["label_b"].iloc[0], side))
    axis.set_title(rows["dataset"].iloc[0])
    axis.grid(visible=False)
    return image


def _write(axis: Axes, place: tuple[int, ...], value: float, limits: tuple[float, float]) -> None:
    if np.isnan(value):
        axis.text(place[1], place[0], "n/a", ha="center", va="center", fontsize=4)
        return
    dark = (value - limits[0]) / (limits[1] - limits[0]) > _DARK
    text = f"{value:.2f}".replace("0.", ".") if abs(value) < 1 else f"{value:.2g}"
    axis.text(place[1], place[0], text, ha="center", va="center", fontsize=4, color="white" if dark else "black")
