"""Quality of models that were transferred with and without PRIME, by task and backbone.

After Yamada & Otani 2022 (arXiv:2204.03934); PRIME is by Modas, Rade et al. 2022 (arXiv:2112.13547).
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.stages.plot.style import AGREE, DISAGREE, PAGE, footnote, share_axis, style
from mettle.stages.plot.transfer import TITLES, value_of

_LOOKS = {"full": (DISAGREE, "o", "without PRIME"), "full_prime": (AGREE, "s", "with PRIME")}
_PARTS = {("clean", "score"): "clean", ("mean", "mpc"): "corrupted", ("without_noise", "mpc"): "without noise"}


_APART = 0.13  # of the distance of two backbones: of the two intervals of one from its middle


def draw(table: pd.DataFrame) -> Figure:
    """A row per task and a column for clean images, all corruptions, and those that are no noise; backbones are lines.

    Bars are 95 % intervals over images.

    Parameters
    ----------
    table : rows of table `prime`
    """
    tasks = dict(list(table.groupby("task", sort=False)))
    backbones = {task: list(dict.fromkeys(own["backbone"])) for task, own in tasks.items()}
    heights = [0.6 + 0.22 * len(names) for names in backbones.values()]
    with style():
        shape = {"figsize": (PAGE, sum(heights) + 0.3), "height_ratios": heights}
        figure, axes = pyplot.subplots(len(tasks), len(_PARTS), squeeze=False, sharey="row", **shape)
        for row, (task, own) in zip(axes, tasks.items(), strict=True):
            for axis, (part, title) in zip(row, _PARTS.items(), strict=True):
                _panel(axis, own, backbones[task], part)
                axis.set_xlabel(f"{TITLES[own['measure'].iloc[0]]}, {title}")
            row[0].set_title(f"{task}, {', '.join(dict.fromkeys(own['dataset']))}", loc="left")
            row[0].set_yticks(range(len(backbones[task])), backbones[task])
            row[0].set_ylim(len(backbones[task]) - 0.5, -0.5)
        handles = [Line2D([], [], color=c, marker=m, ls="", ms=4, label=text) for c, m, text in _LOOKS.values()]
        figure.legend(handles=handles, ncols=2, loc="outside lower center", frameon=False)
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, backbones: list[str], part: tuple[str, str]) -> None:
    for line, backbone in enumerate(backbones):
        for (mode, (colour, mark, _)), shift in zip(_LOOKS.items(), (-_APART, _APART), strict=True):
            rows = table[(table["backbone"] == backbone) & (table["mode"] == mode)]
            value, lo, hi = value_of(rows, *part)
            bars = [[value - lo], [hi - value]]
            axis.errorbar(value, line + shift, xerr=bars, color=colour, marker=mark, ms=4, lw=0.8)
    axis.grid(False, axis="y")
    share_axis(axis, "x")
