"""Figures 14 and 15: Jaccard similarity of pairs of models by number of neighbours and training eps.

After Klabunde et al. 2025 (arXiv:2510.19427), on natural images (figure 14) and inverted images (figure 15).
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.scales import SCALES
from mettle.stages.plot.pairs import boxes, colours_of, in_lines, legends, on_inverted, similarity
from mettle.stages.plot.style import PAGE, eps_label, style


def draw(table: pd.DataFrame) -> Figure:
    """One panel per data set: boxes over pairs of models by number of neighbours and eps.

    Parameters
    ----------
    table : rows of table `fig14` or `fig15`
    """
    datasets = list(dict.fromkeys(table["dataset"]))
    table, colours = similarity(table).sort_values("k", kind="stable"), colours_of(table)
    with style():
        size = (PAGE * max(0.5, min(len(datasets), 3) / 3), 2.5)
        figure, axes = pyplot.subplots(1, len(datasets), figsize=size, squeeze=False, sharey=True)
        for axis, dataset in zip(axes[0], datasets, strict=True):
            part = table[table["dataset"] == dataset]
            boxes(axis, part, "k", colours)
            axis.set_xticks(range(part["k"].nunique()), list(dict.fromkeys(part["k"])))
            axis.set_title(dataset)
            axis.set_xlabel("neighbours k")
            axis.grid(False, axis="x")
        method = table["method"].iloc[0]
        label = in_lines(SCALES[method].title(method))
        axes[0, 0].set_ylabel(label + (" on inverted images" if on_inverted(table) else ""))
        legends(figure, table, colours, eps_label(table))
    return figure
