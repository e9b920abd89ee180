"""Nearest neighbours: float32 picks candidates, float64 decides; the same as sorting every distance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from mettle.measures import neighbours


def by_sorting(x, k, own=np.inf):
    """Nearest first by squared distances summed term by term, the first of equally near rows first."""
    far = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(far, own)
    return np.argsort(far, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize(("n", "k"), [(30, 1), (30, 29), (200, 10), (700, 3), (700, 40)])
@pytest.mark.parametrize("block", [256, 7])
def test_equals_sorting_every_distance(monkeypatch, n, k, block):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    monkeypatch.setattr(neighbours, "_NUMBERS", 300)
    x = np.random.default_rng(n + k).normal(size=(n, 6))
    assert (neighbours.nearest(x, k, np.inf) == by_sorting(x, k)).all()
    assert (neighbours.nearest(x, k, -np.inf) == by_sorting(x, k, -1)).all()


@pytest.mark.parametrize("cost", [1e-9, 1e9])
def test_equals_sorting_whether_float64_sieves_again_or_not(monkeypatch, cost):
    """Points that float32 confuses, and one so far off that it leaves float32 no digits of the others."""
    monkeypatch.setattr(neighbours, "_ONE_BY_ONE", cost)
    rng = np.random.default_rng(0)
    near = np.round(1 + 1e-4 * rng.normal(size=(80, 6)), 6)
    far = rng.normal(size=(80, 6))
    far[9] *= 1e5
    for x in (near - near.mean(axis=0) + 3, far):
        assert (neighbours.nearest(x, 7, np.inf) == by_sorting(x, 7)).all()
        assert (neighbours.nearest(x, 7, -np.inf) == by_sorting(x, 7, -1)).all()


@pytest.mark.parametrize(("scale", "sieves"), [(1, 1), (1e-4, 2)])
def test_float64_sieves_where_float32_leaves_too_many(monkeypatch, scale, sieves):
    called, candidates = [], neighbours._candidates
    monkeypatch.setattr(neighbours, "_candidates", lambda x, *rest: called.append(x.dtype) or candidates(x, *rest))
    x = 1 + scale * np.random.default_rng(0).normal(size=(200, 50))
    neighbours.nearest(x, 5, np.inf)
    assert called == [np.float32, np.float64][:sieves]


@given(arrays(np.int64, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=st.integers(-3, 3)), st.data())
@settings(max_examples=100, deadline=None)
def test_ties_go_to_the_first(x, data):
    """On a grid whose longest vector has length 2^i, so that all is exact, and with many equal points."""
    x = np.concatenate([x, np.zeros((1, x.shape[1]), dtype=int)]).astype(float)
    x[-1, 0] = 8
    k = data.draw(st.integers(1, len(x) - 1))
    assert (neighbours.nearest(x, k, np.inf) == by_sorting(x, k)).all()


def test_differences_that_float32_does_not_see():
    """Points at distances 1 + i * 1e-9 from the first, in random order."""
    order = np.random.default_rng(0).permutation(300)
    turns = np.random.default_rng(1).normal(size=(300, 5))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    x = np.concatenate([np.zeros((1, 5)), turns * (1 + 1e-9 * order[:, None])])
    assert (neighbours.nearest(x, 20, np.inf)[0] == 1 + np.argsort(order)[:20]).all()


def test_rounding_bound_holds():
    """Distances in float32 are off by less than the slack allows, on features of very unlike lengths."""
    rng = np.random.default_rng(0)
    for d in (3, 100, 700):
        x = rng.normal(size=(200, d)) * np.exp(rng.normal(size=(200, 1)))
        x /= np.linalg.norm(x, axis=1).max()
        single = x.astype(np.float32)
        half = (np.linalg.norm(x, axis=1) ** 2 / 2).astype(np.float32)
        error = np.abs((half - single @ single.T) - (cdist(x, x, "sqeuclidean") - (x**2).sum(1)[:, None]) / 2)
        assert error.max() < (d + 8) * 2.0**-24


@pytest.mark.parametrize(("n", "k"), [(5, 1), (50, 3), (1000, 10), (1000, 600)])
def test_threshold_holds_k_and_few_more(n, k):
    values = np.random.default_rng(0).normal(size=(20, n)).astype(np.float32)
    within = (values <= neighbours._at_least_smallest(values, k)[:, None]).sum(axis=1)
    assert (within >= k).all()
    assert (within <= 2 * k + 5).all()


def test_overlap_of_no_and_of_all_neighbours():
    a, b = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[4, 5, 6], [6, 5, 4]])
    count, nearness = neighbours.overlap(a, b)
    assert count.tolist() == [0, 3]
    assert nearness.tolist() == pytest.approx([0, 2 / (3 * 4) + 2 / (1 * 4) + 2 / (3 * 4)])
