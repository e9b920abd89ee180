"""One look for all figures: a context, one palette, files that are the same bytes for the same table."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mettle.files import whole

matplotlib.use("Agg")

# Okabe & Ito 2008: told apart by readers with any kind of colour vision.
AGREE, DISAGREE = "#0072B2", "#D55E00"
PALETTE = (AGREE, DISAGREE, "#009E73", "#CC79A7", "#E69F00")
# From light to dark in one hue each, so that eps reads as an order also in grey.
NATURAL, INVERTED, PROBES = "Blues", "Oranges", "Greens"
COLUMN, PAGE = 3.4, 7.0  # inches: width of one column of a two-column paper, and of both


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
    """Write a figure in the formats of the paths' endings, without creation date."""
    for path in map(Path, paths):
        date = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with whole(path) as tmp:
            figure.savefig(tmp, dpi=300, metadata=date, format=path.suffix[1:])
    matplotlib.pyplot.close(figure)


def short(model: str, source: str) -> str:
    """A model's name in two lines: architecture and recipe; a seed other than 0 is kept."""
    parts = model.split("-")
    if source != "here":
        return f"{model}\n(published)"
    if len(parts) != 3:
        return model
    seed = "" if parts[2] == "s0" else f" ({parts[2]})"
    return f"{parts[0]}\n{parts[1]}{seed}"


def share_axis(axis: Axes, which: str = "y") -> None:
    """Ticks in percent."""
    getattr(axis, f"{which}axis").set_major_formatter(PercentFormatter(1, decimals=0))


def shades(levels: Iterable[float], palette: str) -> dict[float, tuple]:
    """Colours by eps, the darker the larger; none so light or dark that lines on it are lost."""
    levels = sorted({float(eps) for eps in levels})
    colours = matplotlib.colormaps[palette](np.linspace(0.03, 0.66, len(levels) + 1)[1:])
    return dict(zip(levels, map(tuple, colours.tolist()), strict=True))


def eps_label(table: pd.DataFrame) -> str:
    """Axis label of the training eps, with the norm that the table names."""
    norms = {"l2": " (L2)", "linf": " (Linf)"}
    return "training eps" + next((norms[name] for name in table["norm"].dropna()), "")
