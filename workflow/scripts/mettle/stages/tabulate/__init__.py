"""Tabulate stage: the rows that a figure or summary table shows, from the cells of other stages. No torch."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.scales import SCALES

Row = dict[str, Any]
_FEW = 12  # models whose pairs a page shows


def rows_of(figure: str) -> Callable[[pd.DataFrame, Row, Sequence[str]], list[Row]]:
    """The function that makes the rows of a figure's table."""
    module, _, function = FIGURES[figure].rows.rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), function)


def tabulate(
    figure: str,
    cells: Sequence[str],
    beside: Sequence[str],
    options: Row,
    table: str | Path,
    page: str | Path,
    provenance: Row,
) -> None:
    """Write the table of a figure, and its page for people.

    Parameters
    ----------
    figure : key of `mettle.plan.figures.FIGURES`
    cells, beside : files it is made from
    options : of the figure, with the `seed` of the run
    table, page : files to write, parquet and HTML
    provenance : of the job
    """
    about = FIGURES[figure]
    rows = rows_of(figure)(tables.concat(cells, *about.made_from), options, beside)
    tables.write(table, about.table, rows, provenance)
    frame = _readable(tables.read(table, about.table), about.table)
    note = _turned(frame)
    if _is_of_many_pairs(frame):  # a page is for people: means, not every pair
        means = frame[frame["model"] == "all"]
        where = f"Shown: {len(means)} rows over all pairs (model is `all`) of the {len(frame)} rows in `{table}`."
        note, frame = f"{where} {note}".strip(), means
    tables.page(page, about.table, frame, provenance, note)


def _is_of_many_pairs(frame: pd.DataFrame) -> bool:
    """Whether a table has means over the pairs of more models than a reader looks at one by one."""
    return "model" in frame and (frame["model"] == "all").any() and frame["model"].nunique() - 1 > _FEW


def _readable(frame: pd.DataFrame, table: tables.Table) -> pd.DataFrame:
    """What a page can show: no pictures and vectors, and no rows that hold nothing else."""
    several = [name for name, column in table.columns.items() if column.is_vector or column.ragged]
    return frame[frame[several].isna().all(axis=1)].drop(columns=[*several, "image"], errors="ignore")


def _turned(frame: pd.DataFrame) -> str:
    """What figures show of distances, as they show every measure so that up is more alike."""
    measures = frame[["measure", "method"]] if "method" in frame else frame[["measure"]].assign(method=frame["measure"])
    turned = []
    for measure, method in measures.drop_duplicates().itertuples(index=False):
        scale = SCALES.get(method)
        if scale and scale.formula != "{}":
            turned.append(f"`{measure}` as {scale.title(measure)}")
    return f"Values are as measured. Figures show {', '.join(turned)}." if turned else ""
