"""Figure 9: accuracy under AutoAttack by eps; a curve that does not fall to zero would speak against the evaluation.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399).
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.plot.style import COLUMN, PALETTE, share_axis, short, style

MARKERS = "osD^v"


def draw(table: pd.DataFrame) -> Figure:
    """One panel for ours and one for published curves, with 95 % intervals.

    Parameters
    ----------
    table : rows of table `fig9`
    """
    sources = list(dict.fromkeys(table["source"]))
    with style():
        size = (COLUMN * (1 + 0.75 * (len(sources) - 1)), 2.2)
        figure, axes = pyplot.subplots(1, len(sources), figsize=size, squeeze=False, sharey=True)
        for axis, source in zip(axes[0], sources, strict=True):
            _panel(axis, table[table["source"] == source], source)
        axes[0, 0].set_ylabel("accuracy")
    return figure


def _panel(axis: Axes, table: pd.DataFrame, source: str) -> None:
    norm = next(iter(table["norm"].dropna()))
    unit = 1 / 255 if norm == "linf" else 1
    lines = table.astype({"value": float, "lo": float, "hi": float}).groupby("model", sort=False)
    for (model, line), colour, marker in zip(lines, PALETTE, MARKERS, strict=False):
        line = line.sort_values("eps")
        eps = line["eps"].astype(float) / unit
        if line["lo"].notna().all():
            axis.fill_between(eps, line["lo"], line["hi"], color=colour, alpha=0.2, lw=0)
        axis.plot(eps, line["value"], color=colour, marker=marker, ms=2.5, lw=1, label=short(model, "here"))
    axis.set_xlabel("eps (Linf, 1/255)" if norm == "linf" else "eps (L2)")
    axis.set_ylim(0, 1)
    share_axis(axis)
    axis.set_title("AutoAttack" if source == "here" else "published, ImageNet")
    axis.legend(frameon=False, loc="upper right")
