"""Clean against robust accuracy, coloured by the accuracy under corruptions."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.stages.plot.style import footnote, marked, style
from mettle.units import NORMS

_MARKERS = {"none": "o", "l2": "s", "linf": "D"}
_MEASURES = ("clean accuracy", "robust accuracy", "accuracy under corruptions")
_NAMED = 25  # models up to which each has its name beside it


def draw(table: pd.DataFrame) -> Figure:
    """A point per model with its intervals; markers tell the norm that it was trained against.

    Parameters
    ----------
    table : rows of table `frontier`
    """
    wide = {measure: part.set_index("model") for measure, part in table.groupby("measure", sort=False)}
    clean, robust, third = (wide.get(name) for name in _MEASURES)
    with style():
        figure, axis = pyplot.subplots(figsize=(6.4, 4.2))
        colours = third["value"].reindex(clean.index) if third is not None else pd.Series(np.nan, clean.index)
        for row, other in zip(clean.itertuples(), robust.reindex(clean.index).itertuples(), strict=True):
            across, up = _ends(row), _ends(other)
            axis.errorbar(row.value, other.value, up, across, fmt="none", ecolor="#bbbbbb", elinewidth=0.8, zorder=1)
        points = None
        for norm, part in clean.assign(norm=clean["norm"].fillna("none")).groupby("norm", sort=False):
            up = robust["value"].reindex(part.index)
            told = {"marker": _MARKERS.get(norm, "^"), "s": 34, "zorder": 2, "edgecolors": "black", "linewidths": 0.5}
            shade = colours.reindex(part.index)
            if shade.notna().all():
                told |= {"c": shade, "cmap": "viridis", "vmin": colours.min(), "vmax": colours.max()}
            words = "trained without attacks" if norm == "none" else f"trained against {NORMS[norm]}"
            points = axis.scatter(part["value"], up, label=words, **told)
        if third is not None:
            figure.colorbar(points, ax=axis, label="accuracy under corruptions (mPC)")
        if len(clean) <= _NAMED or table["note"].notna().any():
            for row, y in zip(clean.itertuples(), robust["value"].reindex(clean.index), strict=True):
                label = marked(row.label, table[table["model"] == row.Index])
                axis.annotate(label, (row.value, y), (4, 3), textcoords="offset points", fontsize=5.5)
        axis.set_xlabel(f"clean accuracy on {table['dataset'].iloc[0]}")
        axis.set_ylabel(f"accuracy under {table['attack'].iloc[0]}")
        axis.legend(loc="best", fontsize=6)
        footnote(figure, table)
    return figure


def _ends(row: Any) -> np.ndarray:
    """Lengths of the interval below and above a value."""
    return np.array([[row.value - row.lo], [row.hi - row.value]])
