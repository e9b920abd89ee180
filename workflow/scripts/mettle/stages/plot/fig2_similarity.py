"""Figures 2 and 3: representational similarity of pairs of models, by data set and training eps.

After Klabunde et al. 2025 (arXiv:2510.19427), on natural images (figure 2) and inverted images (figure 3).
"""

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.stages.plot.pairs import axis_label, boxes, colours_of, legends, on_inverted, similarity
from mettle.stages.plot.style import COLUMN, PAGE, eps_label, style


def draw(table: pd.DataFrame) -> Figure:
    """One panel per measure: boxes over pairs of models by data set and eps.

    Parameters
    ----------
    table : rows of table `fig2` or `fig3`
    """
    table, colours = similarity(table), colours_of(table)
    measures = list(dict.fromkeys(table["measure"]))
    datasets = list(dict.fromkeys(table["dataset"]))
    with style():
        columns = min(len(measures), 2)
        lines = -(-len(measures) // columns)
        size = (PAGE if len(datasets) * len(colours) > 6 else COLUMN, 1.6 * lines + 0.6)
        figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False)
        figure.get_layout_engine().set(wspace=0.04)
        for axis, measure in zip(axes.flat, measures, strict=False):
            part = table[table["measure"] == measure]
            boxes(axis, part, "dataset", colours)
            axis.set_xticks(range(part["dataset"].nunique()), list(dict.fromkeys(part["dataset"])))
            axis.set_ylabel(axis_label(part) + ("\non inverted images" if on_inverted(table) else ""))
            axis.grid(False, axis="x")
        for axis in axes.flat[len(measures) :]:
            axis.remove()
        legends(figure, table, colours, eps_label(table))
    return figure
