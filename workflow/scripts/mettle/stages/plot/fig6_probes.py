"""Figure 6: agreement of pairs of models by head, their own or linear probes on their features.

After Klabunde et al. 2025 (arXiv:2510.19427); each pair of models once, and also on held-out images.
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mettle.stages.plot.pairs import box, displayed, mean_handle
from mettle.stages.plot.style import COLUMN, NATURAL, PAGE, PROBES, shades, share_axis, style
from mettle.units import eps_text

HEADS = {"pretrained": ("pretrained", NATURAL), "probe": ("probes", PROBES)}
IMAGES = {"natural": "held-out images", "train": "training images"}
OWN = {"marker": "|", "color": "0.5", "ls": "", "ms": 3, "mew": 0.6}


def draw(table: pd.DataFrame) -> Figure:
    """One panel per data set and kind of images: a horizontal box over pairs of models per head and eps.

    Parameters
    ----------
    table : rows of table `fig6`
    """
    table = displayed(table, [float] * len(table))
    heads = [(head, eps) for head in HEADS for eps in sorted(set(table.loc[table["measure"] == head, "eps"]))]
    panels = list(dict.fromkeys(zip(table["dataset"], table["images"], strict=True)))
    with style():
        columns = min(len(panels), 2)
        lines = -(-len(panels) // columns)
        size = (COLUMN if columns == 1 else PAGE, lines * (0.5 + 0.28 * len(heads)) + 0.25)
        figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
        for axis, (dataset, images) in zip(axes.flat, panels, strict=False):
            _panel(axis, table[(table["dataset"] == dataset) & (table["images"] == images)], heads)
            axis.set_title(f"{dataset}, {IMAGES.get(images, images)}")
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        axes[0, 0].set_yticks(range(len(heads)), [f"{HEADS[head][0]}, eps {eps_text(eps)}" for head, eps in heads])
        axes[0, 0].set_ylim(len(heads) - 0.4, -0.6)
        own = Line2D([], [], **OWN, label="probes of one model")
        handles = [mean_handle()] + [own] * bool(len(_own(table)))
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axis: Axes, table: pd.DataFrame, heads: list[tuple[str, float]]) -> None:
    colours = {head: shades([eps for name, eps in heads if name == head], HEADS[head][1]) for head in HEADS}
    pairs = table[(table["model"] != table["model_b"]) | (table["model"] == "all")]
    for place, (head, eps) in enumerate(heads):
        box(axis, _of(pairs, head, eps), place, 0.5, colours[head][eps], lying=True)
        own = _of(_own(table), head, eps)["value"].dropna()
        axis.plot(own, [place + 0.38] * len(own), **OWN)
    axis.grid(False, axis="y")
    axis.set_xlabel("agreement")
    share_axis(axis, "x")


def _of(table: pd.DataFrame, head: str, eps: float) -> pd.DataFrame:
    return table[(table["measure"] == head) & (table["eps"] == eps)]


def _own(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that compare two probes of the same model: the agreement that retraining alone leaves."""
    own = (table["model"] == table["model_b"]) & (table["model"] != "all") & (table["measure"] == "probe")
    return table[own]
