"""Figure 10: recipe ablation, clean and attacked accuracy of every cell of a sweep."""

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.plot.style import COLUMN, PALETTE, share_axis, style


def draw(table: pd.DataFrame) -> Figure:
    """One line per cell, ordered by the accuracy under the last attack; 95 % intervals.

    Parameters
    ----------
    table : rows of table `fig10`
    """
    table = table.astype({"value": float, "lo": float, "hi": float})
    attacks = list(dict.fromkeys(["clean", *table["attack"]]))
    mean = table[table["attack"] == attacks[-1]].groupby("cell")["value"].mean().sort_values()
    place = {cell: position for position, cell in enumerate(mean.index)}
    with style():
        figure, axis = pyplot.subplots(figsize=(COLUMN * 1.35, 0.7 + 0.2 * len(place)))
        for attack, colour in zip(attacks, PALETTE, strict=False):
            part = table[table["attack"] == attack]
            error = [part["value"] - part["lo"], part["hi"] - part["value"]]
            options = {"fmt": "o", "ms": 3, "lw": 0.8, "color": colour, "label": _name(attack, part)}
            axis.errorbar(part["value"], part["cell"].map(place), xerr=error, **options)
        axis.set_yticks(range(len(place)), list(place))
        axis.set_xlabel("accuracy")
        axis.set_xlim(0, 1)
        share_axis(axis, "x")
        figure.legend(loc="outside lower center", ncols=len(attacks), frameon=False)
    return figure


def _name(attack: str, part: pd.DataFrame) -> str:
    if attack == "clean":
        return attack
    eps, norm = part["eps"].iloc[0], part["norm"].iloc[0]
    ball = f"Linf {eps * 255:g}/255" if norm == "linf" else f"L2 {eps:g}"
    return f"{attack.partition('_')[0]}, {ball}"
