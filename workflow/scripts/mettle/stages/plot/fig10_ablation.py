"""Figure 10: ablation of a recipe, clean and attacked accuracy of every cell of a sweep."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import COLUMN, DOUBT, PAGE, footnote, looks, share_axis, style
from mettle.units import ball_text, eps_text

Series = list[tuple[str, pd.DataFrame, tuple[str, str]]]  # label, rows, colour and marker


def draw(table: pd.DataFrame) -> Figure:
    """One curve per attack over the numeric option that the sweep varies, or one line per cell; 95 % intervals.

    Parameters
    ----------
    table : rows of table `fig10`
    """
    table = table.astype({"value": float, "lo": float, "hi": float})
    with style():
        figure = _cells(table) if table["swept"].isna().any() else _curves(table)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False)
        footnote(figure, table)
    return figure


def _cells(table: pd.DataFrame) -> Figure:
    """One line per cell, ordered by the mean accuracy under the last attack."""
    series = _series(table)
    mean = series[-1][1].groupby("cell")["value"].mean().sort_values()
    place = {cell: position for position, cell in enumerate(mean.index)}
    figure, axis = pyplot.subplots(figsize=(COLUMN * 1.35, 0.7 + 0.2 * len(place)))
    for label, rows, look in series:
        across = rows["cell"].map(place)
        axis.errorbar(rows["value"], across, xerr=_error(rows), fmt="none", lw=0.8, ecolor=look[0])
        _points(axis, rows, rows["value"], across, look, label)
    axis.set_yticks(range(len(place)), list(place))
    axis.set_ylim(-0.6, len(place) - 0.4)
    axis.set_xlabel("accuracy")
    share_axis(axis, "x", full=True)
    return figure


def _curves(table: pd.DataFrame) -> Figure:
    """One panel per value of the sweep's second option, if there is one."""
    others = list(dict.fromkeys(table["other"]))
    series = _series(table)
    size = (COLUMN if len(others) == 1 else PAGE * max(2, min(len(others), 4)) / 4, 2.3)
    figure, axes = pyplot.subplots(1, len(others), figsize=size, squeeze=False, sharey=True)
    for axis, other in zip(axes[0], others, strict=True):
        for label, rows, look in series:
            own = rows if other is None else rows[rows["other"] == other]
            _curve(axis, own.sort_values("at"), look, label)
        _swept_axis(axis, table)
        axis.set_title("" if other is None else other)
        share_axis(axis, full=True)
    axes[0, 0].set_ylabel("accuracy")
    return figure


def _curve(axis: Axes, rows: pd.DataFrame, look: tuple[str, str], label: str) -> None:
    """Every model with its interval, and a line through the mean at each value."""
    mean = rows.groupby("at")["value"].mean()
    axis.plot(mean.index, mean, color=look[0], lw=1)
    axis.errorbar(rows["at"], rows["value"], yerr=_error(rows), fmt="none", lw=0.8, ecolor=look[0])
    _points(axis, rows, rows["at"], rows["value"], look, label)


def _swept_axis(axis: Axes, table: pd.DataFrame) -> None:
    """Ticks at the swept values; a logarithmic axis if they span a factor of ten or more."""
    name, values = table["swept"].iloc[0], np.unique(table["at"].astype(float))
    positive = values[values > 0]
    if len(values) > 2 and values[0] >= 0 and positive[-1] >= 10 * positive[0]:
        log = {"value": "log"} if values[0] > 0 else {"value": "symlog", "linthresh": positive[0], "linscale": 0.5}
        axis.set_xscale(**log)
    axis.set_xticks(values, [eps_text(value) if name == "eps" else f"{value:g}" for value in values])
    axis.minorticks_off()
    axis.set_xlabel(name)


def _points(axis: Axes, rows: pd.DataFrame, x: pd.Series, y: pd.Series, look: tuple[str, str], label: str) -> None:
    """A marker per row, with a dagger above it if the row has a note."""
    axis.plot(x, y, color=look[0], marker=look[1], ls="", ms=3, label=label)
    for row, right, up in zip(rows.itertuples(), x, y, strict=True):
        if not pd.isna(row.note):
            axis.annotate(DOUBT, (right, up), (2.5, 1), textcoords="offset points", fontsize=6)


def _error(rows: pd.DataFrame) -> list[pd.Series]:
    return [rows["value"] - rows["lo"], rows["hi"] - rows["value"]]


def _series(table: pd.DataFrame) -> Series:
    """Everything drawn in its own colour: clean accuracy, then every attack, for each number of images."""
    keys = list(dict.fromkeys(zip(table["attack"], table["n"], strict=True)))
    keys.sort(key=lambda key: key[0] != "clean")
    parts = [table[(table["attack"] == attack) & (table["n"] == n)] for attack, n in keys]
    names = {attack: _name(part) for (attack, _), part in zip(keys, parts, strict=True)}
    if len({*names.values()}) < len(names):
        names = {attack: attack for attack in names}
    several = table["n"].nunique() > 1
    labels = [names[attack] + (f" ({n:,} images)" if several else "") for attack, n in keys]
    return list(zip(labels, parts, looks(len(parts)), strict=True))


def _name(part: pd.DataFrame) -> str:
    attack, norm, eps = part[["attack", "norm", "eps"]].iloc[0]
    return attack if attack == "clean" else f"{attack.partition('_')[0]}, {ball_text(norm, eps)}"
