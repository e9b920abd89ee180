"""Figure 9: accuracy under AutoAttack by eps; a curve that does not fall to zero is evidence of a faulty evaluation.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399).
"""

import re

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import COLUMN, footnote, looks, marked, share_axis, style, wrapped
from mettle.units import NORMS


def draw(table: pd.DataFrame) -> Figure:
    """One panel per data set for our models and one for published curves, with 95 % intervals.

    Parameters
    ----------
    table : rows of table `fig9`
    """
    panels = list(dict.fromkeys(zip(table["source"], table["dataset"], strict=True)))
    with style():
        size = (COLUMN * (1 + 0.75 * (len(panels) - 1)), 2.2)
        figure, axes = pyplot.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True)
        for axis, (source, dataset) in zip(axes[0], panels, strict=True):
            _panel(axis, table[(table["source"] == source) & (table["dataset"] == dataset)])
            axis.set_title(f"{dataset}, {_attack(table)}" if source == "here" else "published, ImageNet, autoattack")
        axes[0, 0].set_ylabel("accuracy")
        footnote(figure, table)
    return figure


def _attack(table: pd.DataFrame) -> str:
    """Name of the attack, without the eps at the end of its cells' names."""
    ours = table[(table["source"] == "here") & (table["attack"] != "clean")]
    return re.sub(r"_eps[0-9_]+$", "", ours["attack"].iloc[0])


def _panel(axis: Axes, table: pd.DataFrame) -> None:
    norm = next(iter(table["norm"].dropna()))
    unit = 1 / 255 if norm == "linf" else 1
    several = table.groupby("model")["n"].nunique().max() > 1
    lines = table.astype({"value": float, "lo": float, "hi": float}).groupby(["model", "n"], sort=False)
    for ((_, n), line), (colour, marker) in zip(lines, looks(len(lines)), strict=True):
        line = line.sort_values("eps")
        eps = line["eps"].astype(float) / unit
        if line["lo"].notna().all():
            axis.fill_between(eps, line["lo"], line["hi"], color=colour, alpha=0.2, lw=0)
        label = wrapped(line["label"].iloc[0], 1.2) + (f"\n({n:,} images)" if several else "")
        axis.plot(eps, line["value"], color=colour, marker=marker, ms=2.5, lw=1, label=marked(label, line))
    axis.set_xlabel(f"eps ({NORMS[norm]}, 1/255)" if norm == "linf" else f"eps ({NORMS[norm]})")
    share_axis(axis, full=True)
    axis.legend(frameon=False, loc="upper right")
