"""Features under attack: what robustness tokens gain against what they change, after Pulfer et al. 2024."""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import PAGE, looks, style
from mettle.units import eps_text


def draw(table: pd.DataFrame) -> Figure:
    """A panel per attack: similarity of attacked to clean features against the change of clean features.

    Both are relative to the network without tokens, which is the black mark at no change. Bars are 95 % intervals over
    images.

    Parameters
    ----------
    table : rows of table `tokens_features`
    """
    attacks = list(dict.fromkeys(table["attack"]))
    models = list(dict.fromkeys(table.loc[table["n_tokens"] > 0, "model"]))
    marks = dict(zip(models, looks(len(models)), strict=True))
    names = dict(zip(table["model"], table["label"], strict=True))
    with style():
        size = (max(PAGE / 2, PAGE / 3 * len(attacks)), 2.6)
        figure, axes = pyplot.subplots(1, len(attacks), figsize=size, squeeze=False, sharey=True)
        for axis, attack in zip(axes[0], attacks, strict=True):
            _panel(axis, table[table["attack"] == attack], marks, names)
        axes[0][0].set_ylabel("similarity under attack")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, marks: dict[str, tuple[str, str]], names: dict[str, str]) -> None:
    values = {key: rows.set_index("measure") for key, rows in table.groupby("model", sort=False)}
    for model, rows in values.items():
        colour, mark = marks.get(model, ("black", "X"))
        x, y = 1 - rows.loc["clean", ["value", "hi", "lo"]], rows.loc["base", ["value", "lo", "hi"]]
        if model not in marks:
            axis.axhline(y["value"], color=".7", lw=0.8, ls="--", zorder=0)
        axis.errorbar(
            x["value"],
            y["value"],
            xerr=[[x["value"] - x["hi"]], [x["lo"] - x["value"]]],
            yerr=[[y["value"] - y["lo"]], [y["hi"] - y["value"]]],
            color=colour,
            marker=mark,
            ms=4,
            lw=0.8,
            ls="",
            label=rows["label"].iloc[0],
        )
    axis.set_xlabel("change of clean features (1 - cosine)")
    axis.set_title(f"{table['attack'].iloc[0]} ({eps_text(table['eps'].iloc[0])}): {_seen(table, names)}")


def _seen(table: pd.DataFrame, names: dict[str, str]) -> str:
    """What the attack sees, in words."""
    if (table["through"] == table["model"]).all():
        return "sees the tokens"
    through = table["through"].iloc[-1]
    return f"sees {names.get(through, through)}"
