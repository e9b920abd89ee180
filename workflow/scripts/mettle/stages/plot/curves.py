"""Accuracy by eps, from one run of an attack that looks for the smallest change, with attacks at one eps as points."""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.stages.plot.style import COLUMN, MARKERS, footnote, looks, marked, share_axis, style, wrapped
from mettle.units import NORMS


def draw(table: pd.DataFrame) -> Figure:
    """A step curve with its 95 % band for each model, and a mark with its interval for each attack at one eps.

    Parameters
    ----------
    table : rows of table `curves`
    """
    table = table.astype({"eps": float, "value": float, "lo": float, "hi": float})
    norm, points = table["norm"].iloc[0], table[table["part"] == "point"]
    unit, colours = 1 / 255 if norm == "linf" else 1, {}
    with style():
        figure, axis = pyplot.subplots(figsize=(COLUMN * 1.5, 2.4))
        curves = table[table["part"] == "curve"].groupby("model", sort=False)
        for (model, curve), (colour, _) in zip(curves, looks(len(curves)), strict=True):
            colours[model] = colour
            _curve(axis, curve.sort_values("eps"), unit, colour)
        marks = dict(zip(points["attack"].unique(), MARKERS * len(points), strict=False))
        for row in points.itertuples():
            _point(axis, row, unit, colours[row.model], marks[row.attack])
        axis.set_xlabel(f"eps ({NORMS[norm]}, 1/255)" if norm == "linf" else f"eps ({NORMS[norm]})")
        axis.set_ylabel("accuracy")
        axis.set_title(f"{table['dataset'].iloc[0]}, {table.loc[table['part'] == 'curve', 'attack'].iloc[0]}")
        share_axis(axis, full=True)
        axis.set_xlim(left=0)
        handles = [*axis.get_legend_handles_labels()[0], *(_key(mark, attack) for attack, mark in marks.items())]
        axis.legend(handles=handles, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        footnote(figure, table)
    return figure


def _curve(axis: Axes, curve: pd.DataFrame, unit: float, colour: str) -> None:
    eps = curve["eps"] / unit
    axis.fill_between(eps, curve["lo"], curve["hi"], step="post", color=colour, alpha=0.2, lw=0)
    label = marked(f"{wrapped(curve['label'].iloc[0], 1.7)}\n({curve['n'].iloc[0]:,} images)", curve)
    axis.plot(eps, curve["value"], color=colour, lw=1, drawstyle="steps-post", label=label)


def _point(axis: Axes, row: tuple, unit: float, colour: str, mark: str) -> None:
    """A mark with its interval; open, so that the curve is seen through it."""
    ends = [[row.value - row.lo], [row.hi - row.value]]
    axis.errorbar(row.eps / unit, row.value, yerr=ends, fmt=mark, ms=3.5, mfc="none", color=colour, lw=0.7, capsize=1.5)


def _key(mark: str, attack: str) -> Line2D:
    return Line2D(
        [], [], marker=mark, ls="", ms=3.5, mfc="none", color="0.3", label=wrapped(attack.replace("_", " "), 1.7)
    )
