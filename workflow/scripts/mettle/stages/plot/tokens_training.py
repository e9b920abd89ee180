"""Training of robustness tokens: similarity to clean features by update (Pulfer et al. 2024, arXiv:2503.10191)."""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import PAGE, looks, style

_TITLES = {"invariance": "clean images", "adversarial": "attacked images", "objective": "sum of both"}
_SMOOTH = 20  # updates whose mean is drawn


def draw(table: pd.DataFrame) -> Figure:
    """Similarity on clean images, on attacked images, and the sum of both beside published sums, in three panels.

    Lines are means over 20 updates; dotted is the same attack without tokens, dashed lines with marks are published.

    Parameters
    ----------
    table : rows of table `tokens_training`
    """
    ours, published = table[table["source"].isna()], table[table["source"].notna()]
    models = list(dict.fromkeys(ours["model"]))
    colours = dict(zip(models, (colour for colour, _ in looks(len(models))), strict=True))
    with style():
        figure, axes = pyplot.subplots(1, 3, figsize=(PAGE, 2.4))
        for axis, (measure, title) in zip(axes, _TITLES.items(), strict=True):
            for model in models:
                _line(axis, ours[ours["model"] == model], measure, colours[model])
            axis.set_title(title)
            axis.set_xlabel("update")
        for model in models:
            _line(axes[1], ours[ours["model"] == model], "plain", colours[model], dotted=True)
        axes[1].plot([], [], color="black", ls=":", lw=0.8, label="the same images without tokens")
        _published(axes[2], published)
        axes[0].set_ylabel("similarity to clean features")
        shown = {}
        for axis in axes:
            handles, labels = axis.get_legend_handles_labels()
            shown |= dict(zip(labels, handles, strict=True))
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _line(axis: Axes, rows: pd.DataFrame, measure: str, colour: str, *, dotted: bool = False) -> None:
    line = rows[rows["measure"] == measure].sort_values("step")
    smooth = line["value"].rolling(_SMOOTH, min_periods=1).mean()
    label = "_" if dotted else rows["label"].iloc[0]
    axis.plot(line["step"], smooth, color=colour, lw=0.8 if dotted else 1.2, ls=":" if dotted else "-", label=label)


def _published(axis: Axes, rows: pd.DataFrame) -> None:
    names = list(dict.fromkeys(rows["label"]))
    for name, (_, mark) in zip(names, looks(len(names)), strict=True):
        line = rows[rows["label"] == name].sort_values("step")
        axis.plot(line["step"], line["value"], color=".5", marker=mark, ms=2.5, lw=0.6, ls="--", label=name)
