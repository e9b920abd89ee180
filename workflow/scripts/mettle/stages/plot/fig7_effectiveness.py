"""Figure 7: attack effectiveness over the epochs of training, for PGD by number of steps and for Auto-PGD.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6.
"""

import numpy as np
import pandas as pd
import seaborn
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mettle.stages.plot.style import DISAGREE, PAGE, footnote, in_ball, share_axis, style, wrapped

Line = tuple[str, int]  # attack and its steps
_ORDER = ("clean", "pgd", "apgd")
ROWS = {"accuracy": "accuracy", "gap": "loss below that\nof most steps"}


def draw(table: pd.DataFrame) -> Figure:
    """One column per model and ball, ours first; above, the accuracy; below, the gap in loss.

    A model with final weights only has one point per line.

    Parameters
    ----------
    table : rows of table `fig7`
    """
    balls = ["source", "model", "norm", "eps"]
    panels = [panel for _, panel in table.groupby(balls, sort=False)]
    lines = sorted(
        set(zip(table["attack"], table["steps"], strict=True)), key=lambda one: (_ORDER.index(one[0]), one[1])
    )
    looks = _looks(lines)
    with style():
        size = (max(PAGE, 1.25 * len(panels)), 3.1)
        figure, axes = pyplot.subplots(2, len(panels), figsize=size, squeeze=False, sharey="row")
        for column, own in enumerate(panels):
            for row, measure in enumerate(ROWS):
                _panel(axes[row, column], own[own["measure"] == measure], measure, looks)
            axes[0, column].set_title(in_ball(wrapped(own["label"].iloc[0], 0.9 * size[0] / len(panels)), own))
            axes[1, column].set_xlabel("at the end" if own["epoch"].isna().all() else "epoch")
        for row, text in enumerate(ROWS.values()):
            axes[row, 0].set_ylabel(text)
        _legend(figure, axes, [_label(line) for line in lines])
        footnote(figure, table)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, measure: str, looks: dict[Line, dict]) -> None:
    for (attack, steps), look in looks.items():
        line = table[(table["attack"] == attack) & (table["steps"] == steps)].astype({"value": float})
        if line.empty:
            continue
        line = line.assign(epoch=line["epoch"].astype(float).fillna(0)).sort_values("epoch")
        axis.plot(line["epoch"] + 1, line["value"], label=_label((attack, steps)), lw=1, marker="o", ms=2, **look)
    if table["epoch"].isna().all():
        axis.set_xticks([])
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    share_axis(axis, full=measure == "accuracy")


def _label(line: Line) -> str:
    attack, steps = line
    return {"clean": "clean", "pgd": f"PGD-{steps}", "apgd": f"APGD-{steps}"}[attack]


def _looks(lines: list[Line]) -> dict[Line, dict]:
    """Clean is dotted grey, PGD darker with more steps, Auto-PGD dashed."""
    attacked = [line for line in lines if line[0] == "pgd"]
    shades = dict(zip(attacked, seaborn.color_palette("viridis_r", len(attacked) + 1)[1:], strict=True))
    fixed = {"clean": {"color": "0.4", "ls": ":"}, "apgd": {"color": DISAGREE, "ls": "--"}}
    return {line: fixed.get(line[0]) or {"color": shades[line], "ls": "-"} for line in lines}


def _legend(figure: Figure, axes: np.ndarray, labels: list[str]) -> None:
    """One entry per line in any panel: lines of ours and of published models can differ."""
    found: dict[str, object] = {}
    for axis in axes[0]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        [found[text] for text in labels], labels, loc="outside lower center", ncols=len(labels), frameon=False
    )
