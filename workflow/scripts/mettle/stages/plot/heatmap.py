"""Shared by figures of matrices: a heatmap with its values written into few cells."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

_DARK = 0.6  # share of the range from which text is white


def heatmap(axis: Axes, grid: np.ndarray, limits: tuple[float, float], origin: str, written: int) -> AxesImage:
    """Draw a matrix, grey where it is NaN.

    Parameters
    ----------
    axis : where to draw
    grid : (rows, columns)
    limits : least and greatest value of the colours
    origin : whether the first row is `upper` or `lower`
    written : rows or columns up to which values are written into the cells
    """
    image = axis.imshow(grid, cmap="Blues", vmin=limits[0], vmax=limits[1], origin=origin, aspect="equal")
    axis.set_facecolor(".85")  # of cells without value
    if max(grid.shape) <= written:
        for place in np.ndindex(grid.shape):
            _write(axis, place, grid[place], limits)
    axis.grid(visible=False)
    return image


def _write(axis: Axes, place: tuple[int, ...], value: float, limits: tuple[float, float]) -> None:
    if np.isnan(value):
        axis.text(place[1], place[0], "n/a", ha="center", va="center", fontsize=4)
        return
    dark = (value - limits[0]) / (limits[1] - limits[0]) > _DARK
    colour = "white" if dark else "black"
    axis.text(place[1], place[0], _text(value), ha="center", va="center", fontsize=4, color=colour)


def _text(value: float) -> str:
    """A value in few characters."""
    if value == 0:  # also the negative of a distance of 0
        return "0"
    large = f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"
    return f"{value:.2f}".replace("0.", ".") if abs(value) < 1 else large
