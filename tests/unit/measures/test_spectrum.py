"""Spectrum: the decomposition is one of the centred features, and holds no direction that is rounding."""

import numpy as np
import pytest

from mettle.measures import base
from mettle.measures.spectrum import more_than_dimensions, spectrum


@pytest.mark.parametrize("shape", [(30, 4), (30, 30), (30, 50)])
def test_product_is_the_features(shape):
    x = np.random.default_rng(0).normal(size=shape) + 3
    parts = spectrum(x)
    rank = len(parts.values)
    assert rank == min(shape[1], 29)
    np.testing.assert_allclose(parts.basis * parts.values @ parts.axes, base.unit(x), atol=1e-14)
    for rows in (parts.basis.T, parts.axes):
        np.testing.assert_allclose(rows @ rows.T, np.eye(rank), atol=1e-13)
    assert (np.diff(parts.values) <= 0).all()
    assert parts.values @ parts.values == pytest.approx(1)


def test_dead_duplicate_and_dependent_units_add_no_direction():
    """In float32 a sum of units is one up to rounding, far above that of float64."""
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    more = np.column_stack([x, np.zeros(50), np.full(50, 0.1), x[:, 0], x.sum(axis=1)]).astype(np.float32)
    assert spectrum(more).values.shape == (4,)
    assert np.linalg.matrix_rank(more - more.mean(axis=0, dtype=np.float64)) > 4


def test_small_directions_stay():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1e-2, 1e-4]
    assert spectrum(x).values.shape == (3,)


def test_a_subspace_is_filled_by_fewer_images():
    n, d = 10, 8
    x = np.random.default_rng(0).normal(size=(2, n, d + 1))
    assert n == more_than_dimensions(d) == more_than_dimensions(d + 1) - 1
    full = [spectrum(z).basis for z in x]
    np.testing.assert_allclose(np.linalg.svd(full[0].T @ full[1], compute_uv=False), 1)
    free = [spectrum(z[:, :d]).basis for z in x]
    assert np.linalg.svd(free[0].T @ free[1], compute_uv=False).min() < 0.99
