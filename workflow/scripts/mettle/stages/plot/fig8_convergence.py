"""Figure 8: attack convergence, the loss of individual images over the steps of PGD.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6.
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import AGREE, DISAGREE, PAGE, footnote, in_ball, style, wrapped


def draw(table: pd.DataFrame) -> Figure:
    """One panel per model and ball, ours first: a line per image with its spread over seeds, and the mean.

    Parameters
    ----------
    table : rows of table `fig8`
    """
    balls = ["source", "model", "norm", "eps"]
    panels = [panel for _, panel in table.groupby(balls, sort=False)]
    with style():
        columns = min(len(panels), 4)
        lines = -(-len(panels) // columns)
        figure, axes = pyplot.subplots(lines, columns, figsize=(PAGE, 1.7 * lines), squeeze=False)
        for axis, own in zip(axes.flat, panels, strict=False):
            _panel(axis, own)
            axis.set_title(in_ball(wrapped(own["label"].iloc[0], 1.6), own))
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        for row in axes:
            row[0].set_ylabel("cross-entropy (nats)")
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame) -> None:
    table = table.astype({"value": float, "lo": float, "hi": float}).sort_values("steps")
    for _, image in table.groupby("id"):
        axis.fill_between(image["steps"], image["lo"], image["hi"], color=AGREE, alpha=0.25, lw=0)
        axis.plot(image["steps"], image["value"], color=AGREE, lw=0.5, alpha=0.6)
    mean = table.groupby("steps")["value"].mean()
    axis.plot(mean.index, mean, color=DISAGREE, lw=1.4, label="mean of images")
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [step for step in (0, 1, 10, 100, 1000) if step <= mean.index.max()]
    axis.set_xticks(ticks, [str(step) for step in ticks])
    axis.minorticks_off()
    axis.set_xlabel("PGD steps")
    axis.set_ylim(bottom=0)
