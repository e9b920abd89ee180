"""Shared by figures of pairs of models: a box over pairs, with the mean and its interval over models."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mettle.scales import SCALES
from mettle.stages.plot.style import COLUMN, INVERTED, NATURAL, shades
from mettle.units import eps_text

FEW = 60  # pairs; up to this many, a box shows every pair and no outliers
CHANCE = {"floor": (":", "independent features"), "baseline": ("--", "images permuted")}
_MEAN = {"marker": "D", "ms": 2.4, "mfc": "white", "mec": "black", "mew": 0.6, "color": "black", "lw": 1.0}
_GOLDEN = (5**0.5 - 1) / 2  # its multiples spread over (0, 1) without a pattern


def displayed(table: pd.DataFrame, turn: Sequence[Callable[[float], float]]) -> pd.DataFrame:
    """The rows with displayed values, which are higher for more similar models, NaN where undefined.

    Parameters
    ----------
    table : rows with raw values
    turn : for each row, the function from raw to displayed values
    """
    table = table.copy()
    for name in ("value", "lo", "hi", *CHANCE):
        if name in table:
            values = table[name].astype(float)
            table[name] = [display(value) for display, value in zip(turn, values, strict=True)]
    table[["lo", "hi"]] = np.sort(table[["lo", "hi"]], axis=1)  # a decreasing function swaps them
    return table


def similarity(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of representational similarity, displayed."""
    return displayed(table, [SCALES[method].display for method in table["method"]])


def axis_label(table: pd.DataFrame) -> str:
    """Axis label of a measure of representational similarity, with the variant's name or the formula for a distance.

    A distance that is only negated needs no formula: its label has a minus sign.
    """
    measure, method = table[["measure", "method"]].iloc[0]
    scale = SCALES[method]
    if scale.formula in ("{}", "−{}"):
        return scale.label + (f" ({measure})" if measure != method else "")
    return in_lines(scale.title(measure))


def in_lines(label: str) -> str:
    """An axis label with its formula below it."""
    return label.replace(" = ", "\n= ")


def on_inverted(table: pd.DataFrame) -> bool:
    """Whether the rows are about inverted images."""
    return bool(table["images"].str.startswith("inverted").any())


def colours_of(table: pd.DataFrame) -> dict[float, tuple]:
    """Colours by eps: one hue for natural images, another for inverted ones."""
    return shades(table["eps"], INVERTED if on_inverted(table) else NATURAL)


def boxes(axis: Axes, table: pd.DataFrame, column: str, colours: dict[float, tuple]) -> None:
    """Groups of boxes side by side, one group per value of `column`; in each group one box per eps, by colour.

    Parameters
    ----------
    axis : where to draw
    table : displayed rows of one panel, of pairs and of model `all`
    column : column that defines the groups, in the order of the table
    colours : by eps
    """
    groups = list(dict.fromkeys(table[column]))
    present = [[eps for eps in colours if (table.loc[table[column] == group, "eps"] == eps).any()] for group in groups]
    step = 0.84 / max(map(len, present))
    for place, (group, levels) in enumerate(zip(groups, present, strict=True)):
        for number, eps in enumerate(levels):
            rows = table[(table[column] == group) & (table["eps"] == eps)]
            box(axis, rows, place + step * (number - (len(levels) - 1) / 2), 0.86 * min(step, 0.6), colours[eps])
    axis.set_xlim(-0.55, len(groups) - 0.45)


def box(axis: Axes, table: pd.DataFrame, at: float, width: float, colour: tuple, *, lying: bool = False) -> None:
    """Quartiles of the pairs of one group, every pair if there are few, the mean, and the level of chance.

    Parameters
    ----------
    axis, at, width, colour : position and appearance
    table : displayed rows of the group, of pairs and of model `all`; a group without values is labelled "n/a"
    lying : whether the box is horizontal
    """
    of_group = table["model"] == "all"
    values = np.sort(table.loc[~of_group, "value"].dropna().to_numpy(float))
    if not len(values):
        place = {"xy": (0.02, at), "xycoords": axis.get_yaxis_transform(), "ha": "left", "va": "center"}
        if not lying:
            place = {"xy": (at, 0.02), "xycoords": axis.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axis.annotate("n/a", **place, fontsize=5.5, color="0.3")
        return
    _quartiles(axis, values, at, width, colour, lying)
    if len(values) <= FEW:
        spread = at + 0.7 * width * (np.arange(1, len(values) + 1) * _GOLDEN % 1 - 0.5)
        axis.scatter(*_placed(spread, values, lying), s=2.2, color="black", alpha=0.45, lw=0, zorder=3)
    for mean in table[of_group].dropna(subset=["value"]).itertuples():
        axis.plot(*_placed([at, at], [mean.lo, mean.hi], lying), color="black", lw=_MEAN["lw"], zorder=4)
        axis.plot(*_placed([at], [mean.value], lying), **_MEAN, zorder=5)
    for name, (line, _) in CHANCE.items():
        if name in table and not np.isnan(level := table[name].mean()):
            ends = [at - width / 2, at + width / 2]
            axis.plot(*_placed(ends, [level, level], lying), color="0.25", lw=0.8, ls=line, zorder=2)


def _quartiles(axis: Axes, values: np.ndarray, at: float, width: float, colour: tuple, lying: bool) -> None:
    edge = {"color": "0.3", "linewidth": 0.6}
    options = {"positions": [at], "widths": width, "patch_artist": True, "manage_ticks": False}
    options |= {
        "boxprops": {"facecolor": colour, "edgecolor": "0.3", "linewidth": 0.6},
        "medianprops": edge | {"color": "black"},
    }
    options |= {"whiskerprops": edge, "capprops": edge, "showfliers": len(values) > FEW}
    options |= {"showfliers": len(values) > FEW, "flierprops": {"marker": ".", "ms": 1.5, "mec": "0.3"}}
    axis.boxplot([values], orientation="horizontal" if lying else "vertical", **options)


def _placed(across: Sequence[float], along: Sequence[float], lying: bool) -> tuple[Sequence[float], Sequence[float]]:
    return (along, across) if lying else (across, along)


def mean_handle() -> Line2D:
    """Legend entry of a mean; its interval is over models."""
    return Line2D([], [], **_MEAN, label="mean, 95 % interval")


def legends(figure: Figure, table: pd.DataFrame, colours: dict[float, tuple], title: str) -> None:
    """Above the panels, the colours of eps; below them, the mean and, if drawn, the level of chance."""
    above: list[Artist] = [Patch(alpha=0, label=title)]
    above += [Patch(facecolor=colour, edgecolor="0.3", lw=0.6, label=eps_text(eps)) for eps, colour in colours.items()]
    look = {"frameon": False, "columnspacing": 1.2, "handlelength": 1.4}
    figure.legend(handles=above, loc="outside upper center", ncols=len(above), **look)
    below = [mean_handle()]
    for name, (line, label) in CHANCE.items():
        if name in table and table[name].notna().any():
            below.append(Line2D([], [], color="0.25", lw=0.8, ls=line, label=label))
    columns = len(below) if figure.get_figwidth() > 1.3 * COLUMN else 2
    figure.legend(handles=below, loc="outside lower center", ncols=columns, **look)
