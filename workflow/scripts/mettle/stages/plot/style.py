"""A common style for all figures: a context, a palette, and files that are reproducible byte by byte."""

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
from matplotlib.ticker import AutoLocator, MaxNLocator, PercentFormatter

from mettle.files import atomic
from mettle.units import NORMS, ball_text

matplotlib.use("Agg")

# Okabe & Ito 2008: distinguishable with any kind of colour vision.
AGREE, DISAGREE = "#0072B2", "#D55E00"
PALETTE = (AGREE, DISAGREE, "#009E73", "#CC79A7", "#E69F00")
MARKERS = "osD^vP"
# Each from light to dark in one hue, so that eps is ordered in greyscale too.
NATURAL, INVERTED, PROBES = "Blues", "Oranges", "Greens"
COLUMN, PAGE = 3.4, 7.0  # inches: width of one column of a two-column paper, and of both
DOUBT = "†"  # marks numbers in doubt
LETTER = 0.066  # inches: width of a letter in a title
_SMALL = 6  # points


@contextmanager
def style() -> Iterator[None]:
    """Fonts and lines for figures in a paper, inside the `with` block only."""
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
    """Write a figure to each path in the format of its extension, without a creation date; PDF fonts are TrueType."""
    for path in map(Path, paths):
        date = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with style(), atomic(path) as tmp:
            figure.savefig(tmp, dpi=300, metadata=date, format=path.suffix[1:])
    matplotlib.pyplot.close(figure)


def wrapped(label: str, inches: float) -> str:
    """A label broken into lines that fit a title of this width."""
    return "\n".join(textwrap.wrap(label, max(1, int(inches / LETTER))))


def looks(count: int) -> list[tuple[str, str]]:
    """Colour and marker for each of `count` lines; they repeat after 30."""
    return list(islice(zip(cycle(PALETTE), cycle(MARKERS), strict=False), count))


def share_axis(axis: Axes, which: str = "y", *, full: bool = False) -> None:
    """Ticks in whole percent; `full` sets the range to 0 to 100 %, with room for whole markers at both ends."""
    line = getattr(axis, f"{which}axis")
    line.set_major_formatter(PercentFormatter(1, decimals=0))
    if isinstance(line.get_major_locator(), AutoLocator):
        line.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))  # 2.5 % would be written as 2 or 3
    if full:
        getattr(axis, f"set_{which}lim")(-0.03, 1.03)


def shades(levels: Iterable[float], palette: str) -> dict[float, tuple]:
    """Colours by eps, darker for larger eps; none so light or so dark that lines on it are lost."""
    levels = sorted({float(eps) for eps in levels})
    colours = matplotlib.colormaps[palette](np.linspace(0.03, 0.66, len(levels) + 1)[1:])
    return dict(zip(levels, map(tuple, colours.tolist()), strict=True))


def eps_label(table: pd.DataFrame) -> str:
    """Axis label of the training eps, with the norm from the table."""
    return "training eps" + next((f" ({NORMS[name]})" for name in table["norm"].dropna()), "")


def marked(label: str, rows: pd.DataFrame) -> str:
    """The label of these rows, with a dagger if one has a note."""
    return f"{label} {DOUBT}" if rows["note"].notna().any() else label


def in_ball(label: str, rows: pd.DataFrame) -> str:
    """The label of rows that are all of one ball, a dagger if one has a note, and that ball."""
    (norm, eps), *_ = rows[["norm", "eps"]].itertuples(index=False)
    return f"{marked(label, rows)}\n{ball_text(norm, eps)}"


def footnote(figure: Figure, table: pd.DataFrame) -> None:
    """Add the notes on a figure's numbers as lines below it; without notes nothing changes."""
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
    """The first note of every model; models with the same note share a line."""
    said: dict[str, list[str]] = {}
    key = "label" if "label" in table else "model"
    for model, notes in table.dropna(subset=["note"]).groupby(key, sort=False)["note"]:
        first, *more = dict.fromkeys(notes)
        said.setdefault(first + (f" (and {len(more)} more in the table)" if more else ""), []).append(str(model))
    return [f"{DOUBT} {', '.join(models)}: {text}" for text, models in said.items()]


def _height(figure: Figure) -> float:
    """Height of the legend below the panels in inches, 0 without one."""
    figure.draw_without_rendering()
    return max((legend.get_window_extent().height / figure.dpi + 0.04 for legend in figure.legends), default=0.0)
