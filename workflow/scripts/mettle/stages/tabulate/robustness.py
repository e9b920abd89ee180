"""Rows of the figures of robustness to corruptions."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

Row = dict[str, Any]


def examples(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> pd.DataFrame:
    """The example images as they are."""
    return cells
