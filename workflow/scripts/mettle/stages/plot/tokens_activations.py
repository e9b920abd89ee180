"""Massive activations: the largest activation of every block, clean and attacked (Pulfer et al. 2024)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mettle.stages.plot.style import AGREE, DISAGREE, PAGE, style
from mettle.units import NORMS, eps_text

_NAMED = 13  # layers that have room for their names
_WIDE = 30  # ratio of the largest to the smallest value from which the axis is logarithmic


def draw(table: pd.DataFrame) -> Figure:
    """A panel per model: the mean largest activation by layer, clean and attacked, with bands of 95 % intervals.

    Below, where the table has them, all activations of one image at one layer, clean and attacked.

    Parameters
    ----------
    table : rows of table `tokens_activations`
    """
    means, surfaces = (table[table["measure"] == measure] for measure in ("largest", "surface"))
    models, lines = list(dict.fromkeys(table["model"])), 3 if len(surfaces) else 1
    with style():
        width = min(PAGE, 2.6 * len(models) + 0.4)
        figure = pyplot.figure(figsize=(width, 2.3 + 2.1 * (lines - 1)))
        first = None
        for place, model in enumerate(models, 1):
            first = figure.add_subplot(lines, len(models), place, sharey=first)
            _curves(first, means[means["model"] == model])
            if place == 1:
                first.set_ylabel("largest |activation|")
        figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
        values = means["value"].astype(float)
        if values.max() > _WIDE * values.min():
            first.set_yscale("log")
        else:
            first.set_ylim(bottom=0)
        _surfaces(figure, surfaces, models, lines)
    return figure


def _curves(axis: Axes, rows: pd.DataFrame) -> None:
    layers = list(dict.fromkeys(rows["layer"]))
    for attack, line in rows.groupby("attack", sort=False):
        clean = attack == "clean"
        colour, values = AGREE if clean else DISAGREE, line[["value", "lo", "hi"]].astype(float)
        axis.plot(
            range(len(layers)),
            values["value"],
            color=colour,
            marker="o" if clean else "s",
            ms=2.5,
            lw=1,
            label=_condition(line),
        )
        axis.fill_between(range(len(layers)), values["lo"], values["hi"], color=colour, alpha=0.25, lw=0)
    step = -(-len(layers) // _NAMED)
    axis.set_xticks(range(0, len(layers), step), [layer.removeprefix("blocks.") for layer in layers[::step]])
    axis.set_xlabel("block")
    axis.set_title(rows["label"].iloc[0])


def _condition(rows: pd.DataFrame) -> str:
    """The condition of some rows in words."""
    row = rows.iloc[0]
    return (
        "clean images" if row["attack"] == "clean" else f"{row['attack']}: {NORMS[row['norm']]} {eps_text(row['eps'])}"
    )


def _surfaces(figure: Figure, table: pd.DataFrame, models: list[str], lines: int) -> None:
    """A line of surfaces per condition, a column per model; all have one height."""
    if not len(table):
        return
    high = max(values.max() for values in table["activations"])
    for line, attack in enumerate(dict.fromkeys(table["attack"]), 1):
        for place, model in enumerate(models):
            rows = table[(table["model"] == model) & (table["attack"] == attack)]
            axis = figure.add_subplot(lines, len(models), line * len(models) + place + 1, projection="3d")
            grid = np.stack(rows["activations"])
            tokens, channels = np.mgrid[: grid.shape[0], : grid.shape[1]]
            # Thousands of facets: drawn as pixels, which keeps the file small.
            every = {"rcount": grid.shape[0], "ccount": grid.shape[1], "rasterized": True}
            axis.plot_surface(channels, tokens, grid, cmap="viridis", vmin=0, vmax=high, lw=0, **every)
            axis.set_zlim(0, high)
            axis.set_xlabel("channel", labelpad=-8)
            axis.set_ylabel("token", labelpad=-8)
            axis.tick_params(pad=-3, labelsize=5)
            for counted in (axis.xaxis, axis.yaxis):
                counted.set_major_locator(MaxNLocator(4, integer=True))
            axis.set_title(f"{_condition(rows)}, {rows['layer'].iloc[0]}")
