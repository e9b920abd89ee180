"""Images of dense tasks, their targets, and what models make of them, clean and under attack."""

import io
from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import PAGE, style, wrapped
from mettle.stages.plot.transfer import TITLES
from mettle.units import eps_text

_TITLE = 0.3  # inches: height of the titles of a block
_SCORE = 0.14  # inches: height of a score
_NAMES = TITLES | {"abs_rel": "AbsRel"}


def draw(table: pd.DataFrame) -> Figure:
    """A block per task and data set with a row per image: image, target, and two answers of every model.

    Below an answer is its score on this image alone.

    Parameters
    ----------
    table : rows of table `predictions`
    """
    blocks = [block for _, block in table.groupby(["task", "dataset"], sort=False)]
    columns = 2 + 2 * max(block["model"].nunique() for block in blocks)
    lines = [block["id"].nunique() for block in blocks]
    side = PAGE / columns
    heights = [n * (side + _SCORE) + _TITLE for n in lines]
    with style():
        figure = pyplot.figure(figsize=(PAGE, sum(heights)), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)
        for part, block, n in zip(parts[:, 0], blocks, lines, strict=True):
            grid = part.subplots(n, columns, squeeze=False)
            for axis in grid.flat:
                axis.set_axis_off()
            for line, number in enumerate(dict.fromkeys(block["id"])):
                _line(grid[line], block[block["id"] == number], side, titled=line == 0)
    return figure


def _line(axes: Sequence[Axes], rows: pd.DataFrame, side: float, *, titled: bool) -> None:
    """One image: its target, and what every model makes of it."""
    first = rows[rows["model"] == rows["model"].iloc[0]].set_index("shows")
    _picture(axes[0], first.loc["image"], "image" if titled else "")
    _picture(axes[1], first.loc["target"], f"{first['task'].iloc[0]},\ntarget" if titled else "")
    for place, (_, own) in enumerate(rows.groupby("model", sort=False)):
        own = own.set_index("shows")
        label, eps = own["label"].iloc[0], eps_text(own["eps"].iloc[0])
        states = (("answer", "clean"), ("attacked_answer", eps))
        for axis, (shows, state) in zip(axes[2 + 2 * place :], states, strict=False):
            _picture(axis, own.loc[shows], f"{wrapped(label, side)}\n{state}" if titled else "")
            if pd.notna(value := own.loc[shows, "value"]):
                score = f"{_NAMES[own['measure'].iloc[0]]} {value:.2f}"
                axis.text(0.5, -0.02, score, fontsize=5, ha="center", va="top", transform=axis.transAxes)


def _picture(axis: Axes, row: pd.Series, title: str) -> None:
    axis.imshow(pyplot.imread(io.BytesIO(row["image"]), format="png"), interpolation="nearest")
    axis.set_title(title, fontsize=6, pad=2)
