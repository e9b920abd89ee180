"""Figure 1: inversion examples, what each model takes for a target image when the search starts from another image.

After Klabunde et al. 2025 (arXiv:2510.19427) and Jones et al. 2022 (PMLR 180:928).
"""

import io
import textwrap

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import LETTER, PAGE, style, wrapped

_LARGEST = 0.95  # inches: side of an image where there is room
_LINE = 0.14  # inches: height of a line of text
_UPRIGHT = 1.5  # inches: length of a rotated title, used when a word is wider than an image


def draw(table: pd.DataFrame) -> Figure:
    """One row per target: seed, target, and the image inverted through each model, with its final loss.

    Parameters
    ----------
    table : rows of table `fig1`
    """
    columns = list(dict.fromkeys(zip(table["measure"], table["model"], strict=True)))
    columns.sort(key=lambda column: ("seed", "target", "inverted").index(column[0]))
    labels = [_label(table, *column) for column in columns]
    lines = list(dict.fromkeys(zip(table["dataset"], table["id"], strict=True)))
    side = min(_LARGEST, PAGE / len(columns))
    upright = any(len(word) * LETTER > side for label in labels for word in _words(label))
    titles = [wrapped(label, _UPRIGHT if upright else side) for label in labels]
    above = _UPRIGHT if upright else _LINE * max(title.count("\n") + 1 for title in titles)
    with style():
        size = (side * len(columns), (side + _LINE) * len(lines) + above)
        figure, axes = pyplot.subplots(len(lines), len(columns), figsize=size, squeeze=False)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        for row, (dataset, image) in zip(axes, lines, strict=True):
            own = table[(table["dataset"] == dataset) & (table["id"] == image)]
            for axis, (measure, model) in zip(row, columns, strict=True):
                _image(axis, own[(own["measure"] == measure) & (own["model"] == model)])
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(title, rotation=90 if upright else 0, multialignment="left" if upright else "center")
    return figure


def _label(table: pd.DataFrame, measure: str, model: str) -> str:
    """`seed` or `target`, or the label of a model."""
    return measure if measure != "inverted" else table.loc[table["model"] == model, "label"].iloc[0]


def _words(label: str) -> list[str]:
    """The pieces of a label between which a line may break."""
    return textwrap.wrap(label, 1, break_long_words=False)


def _image(axis: Axes, rows: pd.DataFrame) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for row in rows.itertuples():
        axis.imshow(pyplot.imread(io.BytesIO(row.image), format="png"), interpolation="nearest")
        axis.set_xlabel("" if pd.isna(row.value) else f"{row.value:.2f}", fontsize=5.5, labelpad=1)
