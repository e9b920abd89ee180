"""Figure 12: learning curves, with the accuracy under PGD with one and with many steps where it was measured.

Published curves: Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), with the number of steps of their training.
"""

from itertools import cycle

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mettle.stages.plot.style import PAGE, PALETTE, footnote, marked, share_axis, style, wrapped

_MARKED = 30  # epochs; with more, markers would merge into a thick line


def draw(table: pd.DataFrame) -> Figure:
    """One panel per model, ours first; intervals for held-out accuracies.

    Parameters
    ----------
    table : rows of table `fig12`
    """
    models = list(dict.fromkeys(zip(table["source"], table["model"], strict=True)))
    steps = sorted(set(table["steps"]) - {0})
    colours = {0: PALETTE[0]} | dict(zip(steps, cycle(PALETTE[1:]), strict=False))
    with style():
        columns = min(len(models), 4)
        lines = -(-len(models) // columns)
        size = (PAGE * max(columns, 2) / 4, 1.8 * lines + 0.4)
        figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False, sharey=True)
        for axis, (source, model) in zip(axes.flat, models, strict=False):
            own = table[(table["source"] == source) & (table["model"] == model)]
            _panel(axis, own, colours)
            axis.set_title(marked(wrapped(own["label"].iloc[0], 1.6), own))
        for axis in axes.flat[len(models) :]:
            axis.remove()
        handles = {}
        for axis in figure.axes:
            handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        for row in axes:
            row[0].set_ylabel("accuracy")
        ncols = 3 if columns > 3 else 2
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=ncols, frameon=False)
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, colours: dict[int, str]) -> None:
    table = table.astype({"value": float, "lo": float, "hi": float}).sort_values("epoch")
    seen = table[table["measure"] == "training"]
    axis.plot(seen["epoch"] + 1, seen["value"], color="0.6", ls=":", lw=1, label="training")
    for steps, line in table[table["measure"] == "held out"].groupby("steps"):
        colour = colours[steps]
        axis.fill_between(line["epoch"] + 1, line["lo"], line["hi"], color=colour, alpha=0.2, lw=0)
        label = (f"held out, PGD-{steps}" if steps else "held out, clean") + _images(table, line)
        marker = "o" if len(line) <= _MARKED else None
        axis.plot(line["epoch"] + 1, line["value"], color=colour, marker=marker, ms=2, lw=1, label=label)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_xlabel("epoch")
    share_axis(axis, full=True)


def _images(table: pd.DataFrame, line: pd.DataFrame) -> str:
    """The number of images behind a line, if lines of held-out images differ in it."""
    held = table.loc[table["measure"] == "held out", "n"]
    return f" ({line['n'].max():,} images)" if held.nunique() > 1 else ""
