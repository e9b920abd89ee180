"""One look for all figures: a context, one palette, files that are the same bytes for the same table."""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mettle.files import atomic
from mettle.units import NORMS

matplotlib.use("Agg")

# Okabe & Ito 2008: told apart by readers with any kind of colour vision.
AGREE, DISAGREE = "#0072B2", "#D55E00"
PALETTE = (AGREE, DISAGREE, "#009E73", "#CC79A7", "#E69F00")
MARKERS = "osD^vP"
# From light to dark in one hue each, so that eps reads as an order also in grey.
NATURAL, INVERTED, PROBES = "Blues", "Oranges", "Greens"
COLUMN, PAGE = 3.4, 7.0  # inches: width of one column of a two-column paper, and of both
DOUBT = "†"  # marks what is drawn of numbers in doubt
LETTER = 0.066  # inches: width of a letter of a title
_SMALL = 6  # points


@contextmanager
def style() -> Iterator[None]:
    """Fonts and lines of a paper figure; nothing outside the block changes."""
    own = {
        "font.size": 7,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7,
        "legend.fontsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "axes.linewidth": 0.6,
        "xtick.major.pad": 1,
        "ytick.major.pad": 1,
        "axes.titlepad": 3,
        "pdf.fonttype": 42,
        "figure.constrained_layout.use": True,
    }
    with matplotlib.rc_context(), seaborn.axes_style("whitegrid", {"grid.color": ".9", "grid.linewidth": 0.6}):
        matplotlib.rcParams.update(own)
        yield


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure in the formats of the paths' endings, without creation date; letters of a PDF are TrueType."""
    for path in map(Path, paths):
        date = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with style(), atomic(path) as tmp:
            figure.savefig(tmp, dpi=300, metadata=date, format=path.suffix[1:])
    matplotlib.pyplot.close(figure)


def wrapped(label: str, inches: float) -> str:
    """A label in lines that a title of this width has room for."""
    return "\n".join(textwrap.wrap(label, max(1, int(inches / LETTER))))


def looks(count: int) -> list[tuple[str, str]]:
    """Colour and marker of each of so many lines; 30 differ."""
    return list(islice(zip(cycle(PALETTE), cycle(MARKERS), strict=False), count))


def share_axis(axis: Axes, which: str = "y", *, full: bool = False) -> None:
    """Ticks in percent; `full` from 0 to 100 %, with room for whole markers at both ends."""
    getattr(axis, f"{which}axis").set_major_formatter(PercentFormatter(1, decimals=0))
    if full:
        getattr(axis, f"set_{which}lim")(-0.03, 1.03)


def shades(levels: Iterable[float], palette: str) -> dict[float, tuple]:
    """Colours by eps, the darker the larger; none so light or dark that lines on it are lost."""
    levels = sorted({float(eps) for eps in levels})
    colours = matplotlib.colormaps[palette](np.linspace(0.03, 0.66, len(levels) + 1)[1:])
    return dict(zip(levels, map(tuple, colours.tolist()), strict=True))


def eps_label(table: pd.DataFrame) -> str:
    """Axis label of the training eps, with the norm that the table names."""
    return "training eps" + next((f" ({NORMS[name]})" for name in table["norm"].dropna()), "")


def marked(label: str, rows: pd.DataFrame) -> str:
    """The label of what is drawn of rows, with a mark where one is in doubt."""
    return f"{label} {DOUBT}" if rows["note"].notna().any() else label


def footnote(figure: Figure, table: pd.DataFrame) -> None:
    """What casts doubt on the numbers of a figure, in lines that are added below it; nothing where all is well."""
    width, height = figure.get_size_inches()
    lines = [line for text in _doubts(table) for line in textwrap.wrap(text, int(width * 72 / (0.52 * _SMALL)))]
    if not lines:
        return
    added = 1.25 * _SMALL / 72 * len(lines) + 0.05
    total, legend = height + added, _height(figure)
    figure.set_size_inches(width, total)
    figure.get_layout_engine().set(rect=(0, (added + legend) / total, 1, 1 - (added + legend) / total))
    for found in figure.legends:  # an anchored legend gets no room from the layout
        found.set_bbox_to_anchor((0, added / total, 1, legend / total), figure.transFigure)
    figure.text(0.01, 0.02 / total, "\n".join(lines), fontsize=_SMALL, va="bottom", ha="left")


def _doubts(table: pd.DataFrame) -> list[str]:
    """The first note of every model, those of one wording together."""
    said: dict[str, list[str]] = {}
    key = "label" if "label" in table else "model"
    for model, notes in table.dropna(subset=["note"]).groupby(key, sort=False)["note"]:
        first, *more = dict.fromkeys(notes)
        said.setdefault(first + (f" (and {len(more)} more in the table)" if more else ""), []).append(str(model))
    return [f"{DOUBT} {', '.join(models)}: {text}" for text, models in said.items()]


def _height(figure: Figure) -> float:
    """Inches that the legend below the panels takes, 0 without one."""
    figure.draw_without_rendering()
    return max((legend.get_window_extent().height / figure.dpi + 0.04 for legend in figure.legends), default=0.0)
