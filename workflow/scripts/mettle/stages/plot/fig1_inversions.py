"""Figure 1: inversion examples, what each model lets pass for a target image when the search starts at another image.

After Klabunde et al. 2025 (arXiv:2510.19427) and Jones et al. 2022 (PMLR 180:928).
"""

import io

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.stages.plot.style import PAGE, style
from mettle.units import eps_text

_LARGEST = 0.95  # inches: side of an image where there is room
_LETTER, _LOSS = 0.066, 0.14  # inches: width of a letter of a title, height of the line below an image


def draw(table: pd.DataFrame) -> Figure:
    """A line per target: seed, target, and the image inverted through each model, with its final loss.

    Parameters
    ----------
    table : rows of table `fig1`
    """
    columns = list(dict.fromkeys(zip(table["measure"], table["model"], strict=True)))
    columns.sort(key=lambda column: ("seed", "target", "inverted").index(column[0]))
    titles = [_title(table, *column) for column in columns]
    lines = list(dict.fromkeys(zip(table["dataset"], table["id"], strict=True)))
    side = min(_LARGEST, PAGE / len(columns))
    longest = max(len(line) for title in titles for line in title.split("\n"))
    upright = longest * _LETTER > side
    with style():
        size = (side * len(columns), (side + _LOSS) * len(lines) + (longest * _LETTER if upright else 0.28))
        figure, axes = pyplot.subplots(len(lines), len(columns), figsize=size, squeeze=False)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        for row, (dataset, image) in zip(axes, lines, strict=True):
            own = table[(table["dataset"] == dataset) & (table["id"] == image)]
            for axis, (measure, model) in zip(row, columns, strict=True):
                _image(axis, own[(own["measure"] == measure) & (own["model"] == model)])
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(title, rotation=90 if upright else 0, multialignment="left" if upright else "center")
    return figure


def _title(table: pd.DataFrame, measure: str, model: str) -> str:
    """Seed or target; or a model's architecture, its seed other than 0, and eps."""
    if measure != "inverted":
        return measure
    parts = model.split("-")
    seed = f" ({parts[2]})" if len(parts) == 3 and parts[2] != "s0" else ""
    return f"{parts[0]}{seed}\neps {eps_text(table.loc[table['model'] == model, 'eps'].iloc[0])}"


def _image(axis: Axes, rows: pd.DataFrame) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for row in rows.itertuples():
        axis.imshow(pyplot.imread(io.BytesIO(row.image), format="png"), interpolation="nearest")
        axis.set_xlabel("" if pd.isna(row.value) else f"{row.value:.2f}", fontsize=5.5, labelpad=1)
