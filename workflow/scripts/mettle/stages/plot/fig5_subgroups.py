"""Figure 5: representational similarity on the two parts into which a pair of models splits the images, by eps.

After Klabunde et al. 2025 (arXiv:2510.19427), Figure 5, also with both parts at equal size; each pair of models once.
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mettle.stages.plot.pairs import axis_label, box, similarity
from mettle.stages.plot.style import AGREE, COLUMN, DISAGREE, DOUBT, PAGE, eps_label, style
from mettle.units import eps_text

Groups = dict[str, tuple[str, tuple[str, float]]]  # by name: label, colour with opacity

_MATCHED = "_matched"  # suffix of the subgroups that are tested: both parts at the size of the smaller one
_WIDTH = 0.84  # of all boxes of one eps


def _split(first: str, second: str, what: str, other: str) -> Groups:
    """The two parts of a split, from left to right: all images of the first, n of each, all of the second."""
    return {
        first: (f"all images {what}", (AGREE, 0.35)),
        first + _MATCHED: (f"n images {what}", (AGREE, 1.0)),
        second + _MATCHED: (f"n images {other}", (DISAGREE, 1.0)),
        second: (f"all images {other}", (DISAGREE, 0.35)),
    }


# A table holds the parts of one split, and only those are drawn.
GROUPS: Groups = {
    **_split("agree", "disagree", "where two models agree", "where they disagree"),
    **_split("right", "wrong", "that two models get right", "that one or both get wrong"),
    **_split("confident", "unsure", "of the half that two models are surest of", "of the other half"),
}


def draw(table: pd.DataFrame) -> Figure:
    """One panel per measure: boxes over pairs of models, by eps and subgroup; significance marks for equal sizes.

    Each part of the images is drawn at the size of the smaller one, which is what the test compares, and also with all
    its images if it is the larger part of some pair.

    Parameters
    ----------
    table : rows of table `fig5`: scores of pairs, and one test per measure, eps and contrast of subgroups
    """
    table = similarity(table)
    groups = {name: look for name, look in GROUPS.items() if name.endswith(_MATCHED) or _larger(table, name)}
    groups = {name: look for name, look in groups.items() if (table["subgroup"] == name).any()}
    measures = list(dict.fromkeys(table["measure"]))
    with style():
        columns = min(len(measures), 2)
        lines = -(-len(measures) // columns)
        width = COLUMN if table["eps"].nunique() <= 3 else PAGE
        figure, axes = pyplot.subplots(lines, columns, figsize=(width, 1.8 * lines + 0.7), squeeze=False)
        for axis, measure in zip(axes.flat, measures, strict=False):
            _panel(axis, table[table["measure"] == measure], groups)
        for axis in axes.flat[len(measures) :]:
            axis.remove()
        _legend(figure, groups)
    return figure


def _larger(table: pd.DataFrame, part: str) -> bool:
    """Whether a part of the images is larger than the other one for some pair of models."""
    whole, matched = (table.loc[table["subgroup"] == name, "n"].sum() for name in (part, part + _MATCHED))
    return bool(whole > matched)


def _panel(axis: Axes, table: pd.DataFrame, groups: Groups) -> None:
    levels = sorted(table["eps"].unique())
    tests = table[table["subgroup"].str.contains(f"{_MATCHED} - ")]
    step = _WIDTH / len(groups)
    ticks = []
    for place, eps in enumerate(levels):
        rows = table[(table["eps"] == eps) & table["subgroup"].isin(groups)].dropna(subset=["value"])
        for number, (name, (_, colour)) in enumerate(groups.items()):
            own = rows[rows["subgroup"] == name]
            if len(own):
                box(axis, own, place + step * (number - (len(groups) - 1) / 2), 0.86 * step, colour)
        mark = _stars(tests.loc[tests["eps"] == eps, "p"])
        axis.text(place, 0.985, mark, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=7)
        ticks.append(eps_text(eps) + _images(rows))
    axis.set_xticks(range(len(levels)), ticks)
    axis.set_xlim(-0.5, len(levels) - 0.5)
    axis.set_title(axis_label(table))
    axis.set_xlabel(f"{eps_label(table)}, n" if axis.get_subplotspec().is_last_row() else "")
    axis.grid(False, axis="x")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.12 * (high - low))


def _images(rows: pd.DataFrame) -> str:
    """Range over pairs of the number of images behind scores at equal size, with a dagger if any has a note."""
    found = rows[rows["subgroup"].str.endswith(_MATCHED)]
    if found.empty:
        return ""
    least, most = found["n"].min(), found["n"].max()
    text = f"{least:,}" if least == most else f"{least:,}\nto {most:,}"
    return f"\nn {text}{DOUBT if found['note'].notna().any() else ''}"


def _stars(p: pd.Series) -> str:
    """The usual significance stars for a p-value; a dash if there is no test."""
    if p.isna().all():
        return "–"
    value = float(p.iloc[0])
    return "***" if value < 0.001 else "**" if value < 0.01 else "*" if value < 0.05 else "n.s."


def _legend(figure: Figure, groups: Groups) -> None:
    handles = [
        Patch(facecolor=colour, edgecolor="0.3", linewidth=0.6, label=label) for label, colour in groups.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=1, frameon=False, labelspacing=0.2)
