"""Figures 4 and 13: functional similarity of pairs of models, by data set and training eps.

After Klabunde et al. 2025 (arXiv:2510.19427), on natural images (figure 4) and inverted images (figure 13).
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.scales import SCALES
from mettle.stages.plot.pairs import boxes, colours_of, displayed, in_lines, mean_handle, on_inverted
from mettle.stages.plot.style import COLUMN, PAGE, eps_label, share_axis, style
from mettle.units import eps_text

MEASURES = ("disagreement", "jsd")
BOUNDS = {
    "agreement_upper": ("--", "upper bound of Fort et al. 2019, not strict"),
    "agreement_lower": (":", "lower bound of Fort et al. 2019, not strict"),
}
GREY = "0.45"


def draw(table: pd.DataFrame) -> Figure:
    """One column per data set: above, agreement with the bounds from accuracies; below, JSD similarity; by eps.

    Parameters
    ----------
    table : rows of table `fig4` or `fig13`
    """
    datasets = list(dict.fromkeys(table["dataset"]))
    inverted = "\non inverted images" if on_inverted(table) else ""
    with style():
        size = (max(COLUMN, PAGE * min(len(datasets), 3) / 3), 3.6)
        figure, axes = pyplot.subplots(2, len(datasets), figsize=size, squeeze=False, sharey="row")
        for column, dataset in zip(axes.T, datasets, strict=True):
            _column(column, table[table["dataset"] == dataset], colours_of(table))
            column[0].set_title(dataset)
            column[1].set_xlabel(eps_label(table))
        for axis, measure in zip(axes[:, 0], MEASURES, strict=True):
            axis.set_ylabel(in_lines(SCALES[measure].title(measure)) + inverted)
        share_axis(axes[0, 0])
        _legend(figure, set(_bounds(table)["measure"]))
    return figure


def _column(axes: Sequence[Axes], table: pd.DataFrame, colours: dict[float, tuple]) -> None:
    """The panels of one data set."""
    table = table.sort_values("eps", kind="stable")
    levels = [eps for eps in colours if (table["eps"] == eps).any()]
    for axis, measure in zip(axes, MEASURES, strict=True):
        part = table[table["measure"] == measure]
        boxes(axis, displayed(part, [SCALES[measure].display] * len(part)), "eps", colours)
        axis.set_xticks(range(len(levels)), [eps_text(eps) for eps in levels])
        axis.grid(False, axis="x")
    for measure, line in _bounds(table).groupby("measure"):
        places, values = [levels.index(eps) for eps in line["eps"]], line["value"].tolist()
        ends = [places[0] - 0.4, *places, places[-1] + 0.4], [values[0], *values, values[-1]]  # one eps is a line too
        axes[0].plot(*ends, color=GREY, ls=BOUNDS[measure][0], lw=1)


def _bounds(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[(table["model"] == "all") & table["measure"].isin(BOUNDS)]
    return rows.dropna(subset=["value"]).astype({"value": float})


def _legend(figure: Figure, drawn: set[str]) -> None:
    handles = [mean_handle()]
    for measure, (line, label) in BOUNDS.items():
        if measure in drawn:
            handles.append(Line2D([], [], color=GREY, ls=line, lw=1, label=label))
    columns = 1 if figure.get_figwidth() < PAGE else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, labelspacing=0.2)
