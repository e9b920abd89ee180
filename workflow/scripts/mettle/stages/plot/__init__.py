"""Plot stage: the module of each figure defines `draw(table) -> Figure`, which reads no file."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages.plot import style


def drawing_of(figure: str) -> Callable[[pd.DataFrame], Figure]:
    """The function that draws a figure from its table."""
    return import_module(f"{__name__}.{FIGURES[figure].draw}").draw


def draw(figure: str, table: str | Path, *paths: str | Path) -> None:
    """Draw a figure from its table and write it to each path, in the format of its extension."""
    style.save(drawing_of(figure)(tables.read(table, FIGURES[figure].table)), *paths)
