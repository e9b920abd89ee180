"""Figure 11: what perturbations look like, and how often other models predict the true class for them.

After Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 7.
"""

import io

import pandas as pd
import seaborn
from matplotlib import pyplot
from matplotlib.figure import Figure, SubFigure

from mettle.stages.plot.style import PAGE, footnote, marked, style, wrapped


def draw(table: pd.DataFrame) -> Figure:
    """Above, examples, one row per attacked model; below, the share of perturbations classified as the true class.

    Parameters
    ----------
    table : rows of table `fig11`
    """
    examples = table[table["measure"] == "example"]
    models = list(dict.fromkeys(table["model"]))
    with style():
        heights = [0.62 * len(models) if len(examples) else 0.01, 0.9 + 0.25 * len(models)]
        figure = pyplot.figure(figsize=(PAGE, sum(heights)))
        above, below = figure.subfigures(2, 1, height_ratios=heights)
        if len(examples):
            _examples(above, examples, models)
        _shares(below, table[table["measure"] == "accuracy"], models)
        footnote(figure, table)
    return figure


def _examples(figure: SubFigure, table: pd.DataFrame, models: list[str]) -> None:
    count = table.groupby("model").size().max()
    axes = figure.subplots(len(models), count, squeeze=False)
    for line, model in zip(axes, models, strict=True):
        for axis, data in zip(line, table[table["model"] == model]["image"], strict=False):
            axis.imshow(pyplot.imread(io.BytesIO(data), format="png"), interpolation="nearest")
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
        line[0].set_ylabel(_label(table, model), rotation=0, ha="right", va="center")


def _shares(figure: SubFigure, table: pd.DataFrame, models: list[str]) -> None:
    axis = figure.subplots()
    wide = table.astype({"value": float}).pivot_table(index="model", columns="model_b", values="value", sort=False)
    wide = wide.loc[models]
    options = {"annot": True, "fmt": ".2f", "cmap": "Blues", "vmin": 0, "vmax": 1, "cbar": False, "linewidths": 0.5}
    seaborn.heatmap(wide, ax=axis, **options)
    axis.set_yticklabels([_label(table, model) for model in wide.index], rotation=0)
    judges = table.drop_duplicates("model_b").set_index("model_b")["label_b"]
    axis.set_xticklabels([wrapped(judges[model], 0.8 * PAGE / len(wide.columns)) for model in wide.columns], rotation=0)
    axis.set_ylabel("perturbation against")
    axis.set_xlabel("share that this model gives the true class")


def _label(table: pd.DataFrame, model: str) -> str:
    own = table[table["model"] == model]
    return marked(wrapped(own["label"].iloc[0], 1.2), own)
