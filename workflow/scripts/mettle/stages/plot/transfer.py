"""Quality of transferred models, clean and under corruptions, by task, backbone and mode of transfer.

After Yamada & Otani 2022 (arXiv:2204.03934), with means and ratios of Michaelis et al. 2019 (arXiv:1907.07484).
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.corruptions import GROUPS
from mettle.stages.plot.style import MARKERS, PAGE, PALETTE, footnote, share_axis, style

MODES = {"full": "full network", "fixed": "fixed features", "fixed_paper": "fixed features, as published"}
MODES |= {"full_prime": "full network with PRIME"}
TITLES = {"accuracy": "accuracy", "miou": "mIoU", "box_ap": "box AP", "mask_ap": "mask AP", "a1": "δ < 1.25"}
_PARTS = {"mean": "all", **{name: name for name in GROUPS if name != "extra"}}


def draw(table: pd.DataFrame) -> Figure:
    """A column per task. Above: corrupted against clean quality. Below: their ratio, for all corruptions and by group.

    Colours are backbones, markers modes of transfer; bars are 95 % intervals over images.

    Parameters
    ----------
    table : rows of table `transfer`
    """
    tasks = list(dict.fromkeys(table["task"]))
    colours = dict(zip(dict.fromkeys(table["backbone"]), PALETTE * 3, strict=False))
    marks = dict(zip([mode for mode in MODES if mode in set(table["mode"])], MARKERS, strict=False))
    with style():
        width = min(PAGE, 2.4 * len(tasks) + 0.4)
        figure, axes = pyplot.subplots(2, len(tasks), figsize=(width, 4.3), squeeze=False)
        for column, task in enumerate(tasks):
            own = table[table["task"] == task]
            axes[0, column].set_title(f"{task}, {', '.join(dict.fromkeys(own['dataset']))}")
            _against_clean(axes[0, column], own, colours, marks)
            _by_group(axes[1, column], own, colours, marks)
        axes[1, 0].set_ylabel("share of the clean score that is left (rPC)")
        _legend(figure, colours, marks)
        footnote(figure, table)
    return figure


def _against_clean(axis: Axes, table: pd.DataFrame, colours: dict[str, str], marks: dict[str, str]) -> None:
    for (backbone, mode), rows in table.groupby(["backbone", "mode"], sort=False):
        (x, *across), (y, *along) = (value_of(rows, *part) for part in (("clean", "score"), ("mean", "mpc")))
        bars = [[[abs(end - middle)] for end in ends] for middle, ends in ((x, across), (y, along))]
        axis.errorbar(
            x, y, xerr=bars[0], yerr=bars[1], color=colours[backbone], marker=marks[mode], ms=4, lw=0.7, mfc="none"
        )
    name = TITLES[table["measure"].iloc[0]]
    axis.set(xlabel=f"clean {name}", ylabel=f"{name} under corruptions (mPC)")
    axis.set(xlim=axis.get_xlim(), ylim=(0, axis.get_ylim()[1]))
    _ratios(axis)
    share_axis(axis, "x")
    share_axis(axis)


def _ratios(axis: Axes) -> None:
    """Lines of equal ratio, named where they leave the axes."""
    (left, right), top = axis.get_xlim(), axis.get_ylim()[1]
    look = {"color": ".5", "fontsize": 5, "textcoords": "offset points", "annotation_clip": False}
    for share in (0.25, 0.5, 0.75, 1):
        axis.plot([0, 1], [0, share], color=".8", lw=0.5, zorder=0, scalex=False, scaley=False)
        if right * share <= top:
            axis.annotate(f"{share:.0%}", (right, right * share), (1, 0), ha="left", va="center", **look)
        elif left * share < top:
            axis.annotate(f"{share:.0%}", (top / share, top), (-3, -2), ha="right", va="top", **look)


def _by_group(axis: Axes, table: pd.DataFrame, colours: dict[str, str], marks: dict[str, str]) -> None:
    groups = list(table.groupby(["backbone", "mode"], sort=False))
    shifts = np.linspace(-0.36, 0.36, len(groups)) if len(groups) > 1 else [0.0]
    parts = [part for part in _PARTS if ((table["corruption"] == part) & (table["statistic"] == "rpc")).any()]
    for ((backbone, mode), rows), shift in zip(groups, shifts, strict=True):
        for place, part in enumerate(parts):
            value, lo, hi = value_of(rows, part, "rpc")
            look = {"color": colours[backbone], "marker": marks[mode], "ms": 2.5, "lw": 0.7, "mfc": "none"}
            axis.errorbar(place + shift, value, yerr=[[value - lo], [hi - value]], **look)
    axis.set_xticks(range(len(parts)), [_PARTS[part] for part in parts], fontsize=6)
    axis.grid(False, axis="x")
    for border in np.arange(len(parts) - 1) + 0.5:
        axis.axvline(border, color=".9", lw=0.6)
    axis.set_xlim(-0.5, len(parts) - 0.5)
    axis.set_ylim(0, None)
    share_axis(axis)


def value_of(rows: pd.DataFrame, corruption: str, statistic: str) -> tuple[float, float, float]:
    """Value and interval of a mean over all severities, or of clean images; NaN where it is missing."""
    own = rows[(rows["corruption"] == corruption) & (rows["statistic"] == statistic)]
    own = own[own["severity"].isna() | (own["severity"] == 0)]
    found = own[["value", "lo", "hi"]].astype(float).to_numpy()
    return tuple(found[0]) if len(found) else (np.nan, np.nan, np.nan)


def _legend(figure: Figure, colours: dict[str, str], marks: dict[str, str]) -> None:
    """Colours, and markers where there are several."""
    shown = [Line2D([], [], color=colour, lw=3, label=name) for name, colour in colours.items()]
    if len(marks) > 1:
        look = {"color": ".3", "ls": "", "ms": 4, "mfc": "none"}
        shown += [Line2D([], [], marker=mark, label=MODES[name], **look) for name, mark in marks.items()]
    figure.legend(handles=shown, ncols=4, loc="outside lower center", frameon=False)
