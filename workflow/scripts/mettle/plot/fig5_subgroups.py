"""Figure 5: representational similarity on the two parts that a pair of models splits images into, by eps.

After Klabunde et al. 2025 (arXiv:2510.19427), Figure 5; with a size-matched control, and every pair of models once.
"""

import pandas as pd
import seaborn
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mettle.plot.pairs import axis_label, similarity
from mettle.plot.style import AGREE, COLUMN, DISAGREE, eps_label, style
from mettle.units import eps_text

Groups = dict[str, tuple[str, str, float]]  # by name: label, colour, opacity

_MATCHED = ("as many of these as of the images below", AGREE, 0.35)
# Of a table those are drawn that it has: the parts of one split.
GROUPS: Groups = {
    "agree": ("images where two models agree", AGREE, 1.0),
    "agree_matched": _MATCHED,
    "disagree": ("images where they disagree", DISAGREE, 1.0),
    "right": ("images that two models get right", AGREE, 1.0),
    "right_matched": _MATCHED,
    "wrong": ("images that one or both get wrong", DISAGREE, 1.0),
    "confident": ("the half of the images that two models are surest of", AGREE, 1.0),
    "confident_matched": _MATCHED,
    "unsure": ("the other half", DISAGREE, 1.0),
}


def draw(table: pd.DataFrame) -> Figure:
    """One panel per measure: boxes over pairs of models, by eps and subgroup; marks of the tests at equal size.

    Parameters
    ----------
    table : rows of table `fig5`: scores of pairs, and one test per measure, eps and contrast of subgroups
    """
    table = similarity(table)
    groups = {name: look for name, look in GROUPS.items() if (table["subgroup"] == name).any()}
    measures = list(dict.fromkeys(table["measure"]))
    with style():
        columns = min(len(measures), 2)
        lines = -(-len(measures) // columns)
        figure, axes = pyplot.subplots(lines, columns, figsize=(COLUMN, 1.65 * lines + 0.6), squeeze=False)
        for axis, measure in zip(axes.flat, measures, strict=False):
            _panel(axis, table[table["measure"] == measure], groups)
        for axis in axes.flat[len(measures) :]:
            axis.remove()
        _legend(figure, groups)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, groups: Groups) -> None:
    levels = sorted(table["eps"].unique())
    shown = table[table["subgroup"].isin(groups)].dropna(subset=["value"])
    options = {"x": "eps", "y": "value", "hue": "subgroup", "order": levels, "hue_order": list(groups), "ax": axis}
    palette = {key: (colour, alpha) for key, (_, colour, alpha) in groups.items()}
    seaborn.boxplot(
        shown, **options, palette=palette, width=0.75, gap=0.12, fliersize=0, linewidth=0.6, saturation=1, legend=False
    )
    black = dict.fromkeys(groups, "black")
    seaborn.swarmplot(shown, **options, palette=black, dodge=True, size=1.3, alpha=0.5, warn_thresh=1, legend=False)
    axis.set_title(axis_label(table))
    axis.set_xlabel(eps_label(table) if axis.get_subplotspec().is_last_row() else "")
    axis.set_ylabel("")
    axis.set_xticks(range(len(levels)), [eps_text(eps) for eps in levels])
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.12 * (high - low))
    tests = table[table["subgroup"].str.contains("_matched - ")]
    for position, eps in enumerate(levels):
        mark = _stars(tests.loc[tests["eps"] == eps, "p"])
        axis.text(position, 0.985, mark, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=7)


def _stars(p: pd.Series) -> str:
    """Conventional marks of a p-value; a dash where there is no test."""
    if p.isna().all():
        return "–"
    value = float(p.iloc[0])
    return "***" if value < 0.001 else "**" if value < 0.01 else "*" if value < 0.05 else "n.s."


def _legend(figure: Figure, groups: Groups) -> None:
    handles = [Patch(facecolor=(colour, alpha), edgecolor="0.3", linewidth=0.6) for _, colour, alpha in groups.values()]
    labels = [label for label, _, _ in groups.values()]
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False, labelspacing=0.2)
