"""Features and golden values that the tests of the measures share."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "measures.csv"


def golden_rows(quantity):
    """(options, value, tolerance) of each golden row of `quantity`."""
    with GOLDEN.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["quantity"] == quantity]
    assert rows, f"no golden value of {quantity}"
    return [(json.loads(row["options"]), float(row["value"]), float(row["tolerance"])) for row in rows]


@pytest.fixture
def golden():
    return golden_rows


@pytest.fixture
def pair():
    """The two closed-form sets of features that tests/golden/README.md defines."""
    i = np.arange(40)[:, None]
    a = np.sin(1 + 0.37 * i * (np.arange(5) + 1))
    b = np.cos(0.5 + 0.23 * i * (np.arange(7) + 2)) + 0.5 * np.sin(1 + 0.37 * i)
    return a, b
