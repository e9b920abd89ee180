"""Images under every corruption at every severity, after Hendrycks & Dietterich 2019 (arXiv:1903.12261), figure 1."""

import io
import itertools

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.corruptions import GROUPS
from mettle.stages.plot.style import PAGE, style

_NAMES = 0.95  # inches: width of the names of corruptions
_LINE = 0.15  # inches: height of a line of text
_GAP = 0.02  # inches between images


def draw(table: pd.DataFrame) -> Figure:
    """Two blocks of corruptions for each image, one row per corruption: the clean image, then each severity.

    Parameters
    ----------
    table : rows of table `corruptions`
    """
    ids = list(dict.fromkeys(table["id"]))
    blocks = _blocks([kind for kind in dict.fromkeys(table["corruption"]) if kind != "clean"])
    severities = [0, *sorted(set(table["severity"]) - {0})]
    width = (PAGE / 2 - _NAMES) / len(severities)
    first = _decoded(table["image"].iloc[0])
    height = width * first.shape[0] / first.shape[1]
    tall = _LINE + max(map(len, blocks)) * height
    with style():
        figure = pyplot.figure(figsize=(PAGE, len(ids) * tall), layout="none")
        for part, (number, block) in enumerate(itertools.product(ids, range(len(blocks)))):
            corner = block * PAGE / 2 + _NAMES, part // len(blocks) * tall
            _block(figure, table[table["id"] == number], blocks[block], severities, corner, (width, height))
    return figure


def _blocks(kinds: list[str]) -> list[list[str]]:
    """Corruptions in two blocks of similar length, the groups kept together."""
    ends = [kinds.index(names[-1]) + 1 for names in GROUPS.values() if names[-1] in kinds]
    cut = min(ends, key=lambda end: abs(end - len(kinds) / 2), default=len(kinds))
    return [block for block in (kinds[:cut], kinds[cut:]) if block]


def _block(
    figure: Figure,
    table: pd.DataFrame,
    kinds: list[str],
    severities: list[int],
    corner: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """One image under some corruptions; the corner, upper left, and the size of an image in inches."""
    (left, top), (width, height) = corner, size
    for column, severity in enumerate(severities):
        _text(figure, left + (column + 0.5) * width, top + _LINE / 2, str(severity or "clean"), ha="center")
    for line, kind in enumerate(kinds):
        down = top + _LINE + line * height
        _text(figure, left - 0.05, down + height / 2, kind.replace("_", " "), ha="right")
        for column, severity in enumerate(severities):
            row = table[(table["severity"] == severity) & table["corruption"].isin(("clean", kind))].iloc[0]
            _image(figure, _decoded(row["image"]), (left + column * width, down, width, height))


def _decoded(data: bytes) -> np.ndarray:
    return pyplot.imread(io.BytesIO(data), format="png")


def _image(figure: Figure, image: np.ndarray, place: tuple[float, float, float, float]) -> None:
    """An image at left, top, width, height, in inches from the upper left corner."""
    left, top, width, height = place
    across, down = figure.get_size_inches()
    box = (left / across, 1 - (top + height) / down, (width - _GAP) / across, (height - _GAP) / down)
    axis = figure.add_axes(box)
    axis.imshow(image, interpolation="nearest", aspect="auto")
    axis.axis("off")


def _text(figure: Figure, left: float, top: float, text: str, **options: str) -> None:
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - top / down, text, va="center", **options)
