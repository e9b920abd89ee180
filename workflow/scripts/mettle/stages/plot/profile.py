"""Rank correlations of properties of models."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.stages.plot.style import LETTER, footnote, style

_CELL = 0.86  # inches
_DARK = 0.65  # of the absolute correlation, from which text is white


def draw(table: pd.DataFrame) -> Figure:
    """A cell for every two properties, with the correlation, its interval, and the number of models.

    Parameters
    ----------
    table : rows of table `profile`
    """
    names = list(dict.fromkeys(table[table["model"] != "all"]["measure"]))
    pairs = {(row.measure, row.measure_b): row for row in table[table["model"] == "all"].itertuples()}
    grid = np.full((len(names), len(names)), np.nan)
    for (first, second), row in pairs.items():
        grid[names.index(second), names.index(first)] = np.nan if row.value is None else row.value
    with style():
        beside = LETTER * max(map(len, names)) + 0.6
        size = _CELL * (len(names) - 1)
        figure, axis = pyplot.subplots(figsize=(size + beside + 0.9, size + beside))
        shown = axis.imshow(grid[1:, :-1].astype(float), cmap="RdBu", vmin=-1, vmax=1)
        for (first, second), row in pairs.items():
            x, y = names.index(first), names.index(second) - 1
            dark = row.value is not None and abs(row.value) > _DARK
            axis.text(x, y, _text(row), ha="center", va="center", fontsize=6, color="white" if dark else "black")
        axis.set_xticks(range(len(names) - 1), names[:-1], rotation=90)
        axis.set_yticks(range(len(names) - 1), names[1:])
        axis.grid(visible=False)
        figure.colorbar(shown, ax=axis, label="Spearman's rank correlation over models", shrink=0.7)
        footnote(figure, table[table["model"] != "all"])
    return figure


def _text(row: Any) -> str:
    """Correlation, interval and number of models."""
    if row.value is None or np.isnan(row.value):
        return f"undefined\nn = {row.n}"
    between = "" if row.lo is None or np.isnan(row.lo) else f"\n{row.lo:.2f} to {row.hi:.2f}"
    return f"{row.value:.2f}{between}\nn = {row.n}"
