"""Kernels: the small products, the tiles and the whole matrix give the same sums."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mettle.measures import kernels


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(kernels, "TILE", 7)


def made(widths, n=30):
    return [np.random.default_rng(i).normal(size=(n, d)) for i, d in enumerate(widths)]


@pytest.mark.parametrize("widths", [(3, 4), (3, 40), (40, 50), (20, 20, 20), (2, 3, 4, 5)])
def test_totals_of_linear_kernels(widths):
    xs = made(widths)
    states = [kernels.linear(x) for x in xs]
    expected = np.array([[np.vdot(x @ x.T, y @ y.T) for y in xs] for x in xs])
    off = 1 - np.eye(len(xs))
    np.testing.assert_allclose(kernels.totals(states), off * expected, rtol=1e-12)
    np.testing.assert_allclose(off * kernels._by_tiles(states), off * expected, rtol=1e-12)
    assert kernels.total(states[0], states[1]) == pytest.approx(expected[0][1], rel=1e-12)
    assert kernels.total(states[1], states[1]) == pytest.approx(expected[1][1], rel=1e-12)


@pytest.mark.parametrize(("widths", "cheap"), [((14, 14), True), ((14, 14, 14), True), ((16, 16, 16), False)])
def test_the_cheaper_way_is_taken(widths, cheap):
    assert kernels._by_features([kernels.linear(x) for x in made(widths)]) == cheap


@pytest.mark.parametrize(("d", "e"), [(3, 4), (3, 40), (40, 3), (40, 50)])
def test_rows(d, e):
    x, y = made((d, e))
    expected = ((x @ x.T) * (y @ y.T)).sum(axis=1)
    np.testing.assert_allclose(kernels.by_row(kernels.linear(x), kernels.linear(y)), expected, rtol=1e-10)


@pytest.mark.parametrize(("bandwidth", "less"), [(0.7, 0), (1.0, 1), (1.5, 1)])
def test_gaussian_kernel(bandwidth, less):
    (x,) = made((4,))
    state = kernels.rbf(x, bandwidth)
    whole = np.exp(-(cdist(x, x) ** 2) * state.scale) - less
    np.testing.assert_allclose(state.tile(slice(0, 30), slice(0, 30)), whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(state.diagonal, whole.diagonal())
    np.testing.assert_allclose(kernels.row_sums(state), whole.sum(axis=1) - whole.diagonal(), rtol=1e-12)
    assert kernels.total(state, state) == pytest.approx(np.vdot(whole, whole), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 30, 32])
def test_bandwidth_is_in_units_of_the_median_distance(n):
    (x,) = made((4,), n)
    far = np.sort(cdist(x, x)[np.triu_indices(n, 1)])
    assert kernels.rbf(x, 1.0).scale == pytest.approx(1 / (2 * far[(len(far) - 1) // 2] ** 2), rel=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bandwidth_of_few_different_distances(dtype):
    """The median is one of them, wherever it falls among the bins; twice opposite points are the farthest apart."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        v = rng.normal(size=rng.integers(1, 30)).astype(dtype)
        x = np.where(np.arange(2 * rng.integers(2, 20))[:, None] % 2 == 0, v, -v)
        assert kernels.rbf(x, 1.0).scale == pytest.approx(1 / (2 * 4 * (v @ v)), rel=1e-5)


def test_median_at_the_edge_of_a_bin():
    """Edges of bins in float32 are others than in float64."""
    for edge in np.linspace(0, 3.3, kernels._BINS + 1)[1:2000:50]:
        piece = np.full(5, edge, dtype=np.float32)
        assert kernels._median(lambda piece=piece: iter([piece]), 3.3, 5) == pytest.approx(piece[0], rel=1e-6)


def test_tiles_cover_the_upper_half_once():
    seen = np.zeros((30, 30), dtype=int)
    for rows, columns in kernels.tiles(30):
        seen[rows, columns] += 1
    assert (seen[np.triu_indices(30)] == 1).all()
    assert seen.max() == 1
