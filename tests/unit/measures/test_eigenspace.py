"""Eigenspace overlap: principal angles between spans, and the number of resi."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from mettle import measures


def test_golden(pair, golden):
    ((options, value, tolerance),) = golden("eigenspace_overlap")
    assert measures.compare("eigenspace_overlap", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("d", "e"), [(4, 4), (2, 6), (6, 2)])
def test_equals_the_cosines_of_the_principal_angles(d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(20, d)), rng.normal(size=(20, e)) + 3
    expected = (np.cos(subspace_angles(x, y)) ** 2).sum() / max(d, e)
    assert measures.compare("eigenspace_overlap", x, y) == pytest.approx(expected, abs=1e-12)


def test_a_part_of_the_span_counts_as_its_share():
    x = np.random.default_rng(0).normal(size=(20, 6))
    assert measures.compare("eigenspace_overlap", x, x[:, :3]) == pytest.approx(0.5)


def test_orthogonal_spans():
    assert measures.compare("eigenspace_overlap", np.eye(6)[:, :2], np.eye(6)[:, 2:5]) == pytest.approx(0, abs=1e-12)


def test_dead_and_repeated_units_do_not_count():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 4))
    more = np.column_stack([x, x[:, 0], np.zeros(20)])
    expected = pytest.approx(measures.compare("eigenspace_overlap", x, y), abs=1e-12)
    assert measures.compare("eigenspace_overlap", more, y) == expected
    assert measures.compare("eigenspace_overlap", more, more) == pytest.approx(1)


def test_floor_is_the_share_of_the_dimensions():
    assert measures.floor("eigenspace_overlap", 1000, 100, 60, 0) == pytest.approx(0.06, abs=0.01)
