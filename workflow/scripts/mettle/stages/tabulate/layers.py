"""Rows of the figure of layers."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

Row = dict[str, Any]


def layers(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Rows of the table of similarity of layers, with the labels of the models.

    Parameters
    ----------
    cells : these rows
    options : of the figure, with `labels` of the models
    beside : nothing
    """
    words = options["labels"]
    frame = cells.assign(label=cells["model"].map(words), label_b=cells["model_b"].map(words))
    return frame.astype(object).where(frame.notna(), None).to_dict("records")
