"""Figure 7: attack effectiveness over the epochs of training, by steps of PGD.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6.
"""

import numpy as np
import pandas as pd
import seaborn
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mettle.plot.style import PAGE, footnote, marked, share_axis, short, style

ROWS = {"accuracy": "accuracy", "gap": "loss below that\nof most steps"}


def draw(table: pd.DataFrame) -> Figure:
    """One column per model, ours first; above the accuracy, below the gap of the loss.

    Parameters
    ----------
    table : rows of table `fig7`
    """
    models = list(dict.fromkeys(zip(table["source"], table["model"], strict=True)))
    colours = _colours(sorted(set(table["steps"])))
    with style():
        size = (max(PAGE, 1.25 * len(models)), 3.1)
        figure, axes = pyplot.subplots(2, len(models), figsize=size, squeeze=False, sharey="row")
        for column, (source, model) in enumerate(models):
            own = table[(table["source"] == source) & (table["model"] == model)]
            for row, measure in enumerate(ROWS):
                _panel(axes[row, column], own[own["measure"] == measure], measure, colours)
            axes[0, column].set_title(marked(short(model, source), own))
            axes[1, column].set_xlabel("epoch")
        for row, text in enumerate(ROWS.values()):
            axes[row, 0].set_ylabel(text)
        _legend(figure, axes)
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, measure: str, colours: dict[int, tuple]) -> None:
    for step in sorted(set(table["steps"])):
        line = table[table["steps"] == step].sort_values("epoch").astype({"value": float})
        label = f"PGD-{step}" if step else "clean"
        look = {"color": colours[step], "lw": 1, "marker": "o", "ms": 2, "ls": "-" if step else ":"}
        axis.plot(line["epoch"] + 1, line["value"], label=label, **look)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    share_axis(axis, full=measure == "accuracy")


def _colours(steps: list[int]) -> dict[int, tuple]:
    attacked = [step for step in steps if step]
    shades = seaborn.color_palette("viridis_r", len(attacked) + 1)[1:]
    return {0: "0.4"} | dict(zip(attacked, shades, strict=True))


def _legend(figure: Figure, axes: np.ndarray) -> None:
    """One entry per number of steps in any panel, ascending: ours and the published ones can differ."""
    found: dict[str, object] = {}
    for axis in axes[0]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=lambda text: int(text.partition("-")[2] or 0))
    figure.legend(
        [found[text] for text in labels], labels, loc="outside lower center", ncols=len(labels), frameon=False
    )
