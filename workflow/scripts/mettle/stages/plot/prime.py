"""Quality of models that were transferred with and without PRIME, by task and backbone.

After Yamada & Otani 2022 (arXiv:2204.03934); PRIME is by Modas, Rade et al. 2022 (arXiv:2112.13547).
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.stages.plot.style import AGREE, DISAGREE, PAGE, footnote, share_axis, style
from mettle.stages.plot.transfer import TITLES, value_of

_LOOKS = {"full": (DISAGREE, "o", "without PRIME"), "full_prime": (AGREE, "s", "with PRIME")}
_PARTS = {("clean", "score"): "clean", ("mean", "mpc"): "corrupted", ("without_noise", "mpc"): "without noise"}


def draw(table: pd.DataFrame) -> Figure:
    """A row per task and a column for clean images, all corruptions, and those that are no noise; backbones are lines.

    A line joins what was transferred with and without PRIME; bars are 95 % intervals over images.

    Parameters
    ----------
    table : rows of table `prime`
    """
    tasks = list(dict.fromkeys(table["task"]))
    backbones = list(dict.fromkeys(table["backbone"]))
    with style():
        size = (PAGE, len(tasks) * (0.5 + 0.22 * len(backbones)) + 0.4)
        figure, axes = pyplot.subplots(len(tasks), len(_PARTS), figsize=size, squeeze=False, sharey=True)
        for row, task in zip(axes, tasks, strict=True):
            own = table[table["task"] == task]
            for axis, (part, title) in zip(row, _PARTS.items(), strict=True):
                _panel(axis, own, backbones, part)
                axis.set_xlabel(f"{TITLES[own['measure'].iloc[0]]}, {title}")
            row[0].set_title(f"{task}, {', '.join(dict.fromkeys(own['dataset']))}", loc="left")
        for axis in axes[:, 0]:
            axis.set_yticks(range(len(backbones)), backbones)
            axis.set_ylim(len(backbones) - 0.5, -0.5)
        handles = [Line2D([], [], color=c, marker=m, ls="", ms=4, label=text) for c, m, text in _LOOKS.values()]
        figure.legend(handles=handles, ncols=2, loc="outside lower center", frameon=False)
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, backbones: list[str], part: tuple[str, str]) -> None:
    for line, backbone in enumerate(backbones):
        ends = []
        for mode, (colour, mark, _) in _LOOKS.items():
            rows = table[(table["backbone"] == backbone) & (table["mode"] == mode)]
            value, lo, hi = value_of(rows, *part)
            ends.append(value)
            axis.errorbar(value, line, xerr=[[value - lo], [hi - value]], color=colour, marker=mark, ms=4, lw=0.8)
        if np.isfinite(ends).all():
            axis.plot(ends, [line] * 2, color=".7", lw=2, zorder=0, solid_capstyle="butt")
    axis.grid(False, axis="y")
    share_axis(axis, "x")
