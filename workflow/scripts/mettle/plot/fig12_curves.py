"""Figure 12: learning curves, with the accuracy under one and under many steps of PGD where it was measured."""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mettle.plot.style import PAGE, PALETTE, share_axis, short, style


def draw(table: pd.DataFrame) -> Figure:
    """One panel per model, 95 % intervals of held-out accuracies.

    Parameters
    ----------
    table : rows of table `fig12`
    """
    models = list(dict.fromkeys(table["model"]))
    steps = sorted(set(table["steps"]) - {0})
    colours = dict(zip(steps, PALETTE[1:], strict=False))
    with style():
        columns = min(len(models), 4)
        lines = -(-len(models) // columns)
        size = (PAGE * max(columns, 2) / 4, 1.8 * lines + 0.3)
        figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False, sharey=True)
        for axis, model in zip(axes.flat, models, strict=False):
            _panel(axis, table[table["model"] == model], colours)
            axis.set_title(short(model, "here"))
        for axis in axes.flat[len(models) :]:
            axis.remove()
        handles = {}
        for axis in figure.axes:
            handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, colours: dict[int, str]) -> None:
    table = table.astype({"value": float, "lo": float, "hi": float}).sort_values("epoch")
    seen = table[table["measure"] == "training"]
    axis.plot(seen["epoch"] + 1, seen["value"], color="0.6", ls=":", lw=1, label="training")
    for steps, line in table[table["measure"] == "held out"].groupby("steps"):
        colour = colours.get(steps, PALETTE[0])
        axis.fill_between(line["epoch"] + 1, line["lo"], line["hi"], color=colour, alpha=0.2, lw=0)
        label = f"held out, PGD-{steps}" if steps else "held out, clean"
        axis.plot(line["epoch"] + 1, line["value"], color=colour, marker="o", ms=2, lw=1, label=label)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_xlabel("epoch")
    axis.set_ylim(0, 1)
    share_axis(axis)
