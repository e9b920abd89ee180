"""
Tabulate stage: the rows that a figure or summary table shows, from the cells of other stages. No torch.

Every entry of `TABULATIONS` takes rows of cells, the options of the figure with the `seed` of the run, and the paths of
other files that it is made from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mettle import tables
from mettle.measures import MEASURES
from mettle.measures.base import shown
from mettle.measures.functional import FUNCTIONAL
from mettle.stages.tabulate import accuracy, light_recipe, universality

Row = dict[str, Any]


@dataclass(frozen=True)
class Tabulation:
    """How a table is made: from rows of `cells`, by `rows`, as rows of `table`."""

    cells: tables.Table
    table: tables.Table
    rows: Callable[[pd.DataFrame, Row, Sequence[str]], list[Row]]


TABULATIONS = {
    "accuracy": Tabulation(tables.ATTACK, tables.ACCURACY, accuracy.accuracy),
    "universality_accuracy": Tabulation(tables.ATTACK, tables.UNIVERSALITY_ACCURACY, accuracy.own),
    "fig1": Tabulation(tables.PAIRS, tables.FIG1, universality.figure1),
    "fig2": Tabulation(tables.COMPARE, tables.FIG2, universality.similarity),
    "fig3": Tabulation(tables.COMPARE, tables.FIG3, universality.similarity),
    "fig4": Tabulation(tables.AGREE, tables.FIG4, universality.agreement),
    "fig5": Tabulation(tables.SUBGROUPS, tables.FIG5, universality.figure5),
    "fig6": Tabulation(tables.PROBE_AGREE, tables.FIG6, universality.figure6),
    "fig7": Tabulation(tables.EFFECTIVENESS, tables.FIG7, light_recipe.figure7),
    "fig8": Tabulation(tables.CONVERGENCE, tables.FIG8, light_recipe.figure8),
    "fig9": Tabulation(tables.ATTACK, tables.FIG9, light_recipe.figure9),
    "fig10": Tabulation(tables.ATTACK, tables.FIG10, light_recipe.figure10),
    "fig11": Tabulation(tables.SEMANTICS, tables.FIG11, light_recipe.figure11),
    "fig12": Tabulation(tables.EPOCHS, tables.FIG12, light_recipe.figure12),
    "fig13": Tabulation(tables.AGREE, tables.FIG13, universality.agreement),
    "fig14": Tabulation(tables.COMPARE, tables.FIG14, universality.by_k),
    "fig15": Tabulation(tables.COMPARE, tables.FIG15, universality.by_k),
    "published": Tabulation(tables.ATTACK, tables.PUBLISHED, accuracy.compared),
}


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
    figure : key of `TABULATIONS`
    cells, beside : files it is made from
    options : of the figure, with the `seed` of the run
    table, page : files to write, parquet and HTML
    provenance : of the job
    """
    made = TABULATIONS[figure]
    rows = made.rows(tables.concat(cells, made.cells), options, beside)
    tables.write(table, made.table, rows, provenance)
    frame = tables.read(table, made.table).drop(columns="image", errors="ignore")
    note = _turned(frame)
    if "model" in frame and (frame["model"] == "all").any():  # a page is for people: means, not every pair
        means = frame[frame["model"] == "all"]
        where = f"Shown: {len(means)} rows over all pairs (model is `all`) of the {len(frame)} rows in `{table}`."
        note, frame = f"{where} {note}".strip(), means
    tables.page(page, made.table, frame, provenance, note)


def _turned(frame: pd.DataFrame) -> str:
    """What figures show of distances, as they show every measure so that up is more alike."""
    measures = frame[["measure", "method"]] if "method" in frame else frame[["measure"]].assign(method=frame["measure"])
    turned = []
    for measure, method in measures.drop_duplicates().itertuples(index=False):
        about = MEASURES.get(method) or FUNCTIONAL.get(method)
        if about and about.formula != "{}":
            turned.append(f"`{measure}` as {shown(about.label, about.formula, measure)}")
    return f"Values are as measured. Figures show {', '.join(turned)}." if turned else ""
