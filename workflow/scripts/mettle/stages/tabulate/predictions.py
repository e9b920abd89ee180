"""Rows of the figure of what models make of images."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

Row = dict[str, Any]


def rows(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """The first images of every model, with its label and task.

    Parameters
    ----------
    cells : rows of the table `pictures`
    options : of the figure, with `rows`, about every model
    beside : nothing
    """
    found = []
    for model, own in cells.groupby("model", sort=False):
        shown = own[own["id"].isin(sorted(own["id"].unique())[: options["images"]])]
        found += [row | options["rows"][model] for row in shown.to_dict("records")]
    return found
