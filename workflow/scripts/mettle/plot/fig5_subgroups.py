"""Figure 5: representational similarity on images where two models agree and where they disagree, by eps.

After Klabunde et al. 2025 (arXiv:2510.19427), Figure 5; with a size-matched control, and every pair of models once.
"""

import pandas as pd
import seaborn
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mettle.measures import get
from mettle.plot.style import AGREE, COLUMN, DISAGREE, style

GROUPS = {
    "agree": ("images where two models agree", AGREE, 1.0),
    "agree_matched": ("as many of these as of the images below", AGREE, 0.35),
    "disagree": ("images where they disagree", DISAGREE, 1.0),
}


def draw(table: pd.DataFrame) -> Figure:
    """One panel per measure: boxes over pairs of models, by eps and subgroup.

    Parameters
    ----------
    table : rows of table `fig5`: scores of pairs, and one test per measure, eps and contrast of subgroups
    """
    pairs = table[table["model"] != "all"].copy()
    pairs["value"] = [
        get(row.method).display(float(row.value)) if pd.notna(row.value) else None for row in pairs.itertuples()
    ]
    measures = list(dict.fromkeys(pairs["measure"]))
    with style():
        columns = min(len(measures), 2)
        lines = -(-len(measures) // columns)
        figure, axes = pyplot.subplots(lines, columns, figsize=(COLUMN, 1.65 * lines + 0.6), squeeze=False)
        for axis, measure in zip(axes.flat, measures, strict=False):
            _panel(axis, measure, pairs[pairs["measure"] == measure], table[table["measure"] == measure])
        for axis in axes.flat[len(measures) :]:
            axis.remove()
        _legend(figure)
    return figure


def _panel(axis: Axes, measure: str, pairs: pd.DataFrame, table: pd.DataFrame) -> None:
    levels = sorted(pairs["eps"].unique())
    shown = pairs[pairs["subgroup"].isin(GROUPS)].dropna(subset=["value"]).astype({"value": float})
    options = {"x": "eps", "y": "value", "hue": "subgroup", "order": levels, "hue_order": list(GROUPS), "ax": axis}
    palette = {key: (colour, alpha) for key, (_, colour, alpha) in GROUPS.items()}
    seaborn.boxplot(
        shown, **options, palette=palette, width=0.75, gap=0.12, fliersize=0, linewidth=0.6, saturation=1, legend=False
    )
    black = dict.fromkeys(GROUPS, "black")
    seaborn.swarmplot(shown, **options, palette=black, dodge=True, size=1.3, alpha=0.5, warn_thresh=1, legend=False)
    method = pairs["method"].iloc[0]
    axis.set_title(get(method).label if measure == method else f"{get(method).label} ({measure})")
    norms = {"l2": " (L2)", "linf": " (Linf)"}
    norm = next((norms[name] for name in pairs["norm"].dropna()), "")
    axis.set_xlabel(f"training eps{norm}" if axis.get_subplotspec().is_last_row() else "")
    axis.set_ylabel("")
    axis.set_xticks(range(len(levels)), [f"{eps:g}" for eps in levels])
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.12 * (high - low))
    for position, eps in enumerate(levels):
        test = table[
            (table["model"] == "all")
            & (table["eps"] == eps)
            & (table["subgroup"] == "agree_matched - disagree_matched")
        ]
        axis.text(
            position, 0.985, _stars(test["p"]), transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=7
        )


def _stars(p: pd.Series) -> str:
    """Conventional marks of a p-value; a dash where there is no test."""
    if p.isna().all():
        return "–"
    value = float(p.iloc[0])
    return "***" if value < 0.001 else "**" if value < 0.01 else "*" if value < 0.05 else "n.s."


def _legend(figure: Figure) -> None:
    handles = [Patch(facecolor=(colour, alpha), edgecolor="0.3", linewidth=0.6) for _, colour, alpha in GROUPS.values()]
    labels = [label for label, _, _ in GROUPS.values()]
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False, labelspacing=0.2)
