"""Rows of the figures of robustness to corruptions."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mettle.tasks.scores import SCORES, share

Row = dict[str, Any]


def examples(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> pd.DataFrame:
    """The example images as they are."""
    return cells


def scores(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Scores of models, and published ones of the same data sets behind them.

    Parameters
    ----------
    cells : rows of the table `robustness_scores`
    options : of the table, with `rows`, the label, mode and backbone of every model
    beside : table of published scores
    """
    ours = [row | {"source": None} for row in _described(cells, options["rows"])]
    published = pd.read_csv(beside[0], sep="\t", comment="#")
    rows = published[published["dataset"].isin(options["datasets"])].to_dict("records")
    return ours + [_published(row) for row in rows]


def _published(row: Row) -> Row:
    about = {"label": f"{row['model']} (published)", "mode": None, "backbone": None, "split": "published"}
    severity = None if pd.isna(row["severity"]) else int(row["severity"])
    return row | about | {"severity": severity, "n": None, "lo": None, "hi": None, "note": None}


def transfer(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """A score of every task of which more is better, clean and under each corruption, its means and ratios.

    Parameters
    ----------
    cells, beside : as of `scores`
    options : of the figure, with `rows`, and the score of detectors as `detection`
    """
    chosen = [options["detection"] if task == "detection" else share(task).measure for task in SCORES]
    return _described(cells[cells["measure"].isin(chosen)], options["rows"])


def _described(cells: pd.DataFrame, about: dict[str, Row]) -> list[Row]:
    return [row | about[row["model"]] for row in cells.astype(object).where(cells.notna(), None).to_dict("records")]
