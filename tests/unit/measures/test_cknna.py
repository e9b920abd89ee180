"""Mutual nearest neighbours and CKNNA: sets and dense matrices written out, and the numbers of the authors' code."""

import numpy as np
import pytest

from mettle import measures
from mettle.measures import cknna


def cosines(x, centre=True):
    x = x - x.mean(axis=0) if centre else x
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def neighbours(kernel, k):
    """Whether j is among the k others with the largest kernel, (n, n)."""
    kernel = kernel - np.diag(np.full(len(kernel), np.inf))
    return np.argsort(np.argsort(-kernel, axis=1), axis=1) < k


def unbiased_hsic(a, b):
    """Equation 5 of Song et al. 2012, of matrices with a zero diagonal."""
    n, ones = len(a), np.ones(len(a))
    sums = ones @ a @ ones * (ones @ b @ ones) / ((n - 1) * (n - 2)) - 2 * ones @ a @ b @ ones / (n - 2)
    return (np.trace(a @ b) + sums) / (n * (n - 3))


def dense(x, y, k, centre=True):
    """The definition of the paper, with all n^2 pairs."""
    kernels = [cosines(z, centre) for z in (x, y)]
    first, second = (neighbours(kernel, k) * (kernel - kernel.mean(axis=1, keepdims=True)) for kernel in kernels)
    return (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())


def dense_after(x, y, k, more=0.0):
    """The authors' code: HSIC of kernels of common neighbours, `more` is added to the denominator."""
    kernels = [cosines(z, centre=False) for z in (x, y)]
    first, second = (neighbours(kernel, k) for kernel in kernels)
    both, own, other = (
        unbiased_hsic(*(mask * kernel for kernel in pair))
        for mask, pair in ((first & second, kernels), (first, kernels[:1] * 2), (second, kernels[1:] * 2))
    )
    return both / (np.sqrt(own * other) + more)


def clouds(seed=0, n=70, noise=1.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 4))
    return shared + 1, shared @ rng.normal(size=(4, 9)) + noise * rng.normal(size=(n, 9))


@pytest.mark.parametrize("number", [0, 1])
def test_mutual_knn_golden(pair, golden, number):
    options, value, tolerance = golden("mutual_knn")[number]
    assert measures.compare("mutual_knn", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


def test_mutual_knn_equals_plain_sets():
    x, y = clouds()
    sets = [[set(np.flatnonzero(row)) for row in neighbours(cosines(z), 6)] for z in (x, y)]
    shares = [len(a & b) / 6 for a, b in zip(*sets, strict=True)]
    assert measures.compare("mutual_knn", x, y, k=6) == pytest.approx(np.mean(shares), abs=1e-14)


def test_mutual_knn_follows_from_jaccard_where_overlaps_are_alike():
    """Of one neighbour, the share and the Jaccard overlap are the same."""
    x, y = clouds()
    assert measures.compare("mutual_knn", x, y, k=1) == measures.compare("jaccard", x, y, k=1)


def test_mutual_knn_of_independent_features_is_about_k_over_n():
    assert measures.floor("mutual_knn", 500, 50, 40, 0, k=50) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("number", [0, 1])
def test_cknna_golden(pair, golden, number):
    options, value, tolerance = golden("cknna published")[number]
    assert dense_after(*pair, options["k"], more=1e-6) == pytest.approx(value, rel=0, abs=tolerance)
    found = measures.compare("cknna", *pair, **options)
    assert found == pytest.approx(dense_after(*pair, options["k"]), abs=1e-13)
    assert found == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("centre", [True, False])
def test_cknna_equals_the_dense_definition(k, centre):
    x, y = clouds()
    expected = pytest.approx(dense(x, y, k, centre), abs=1e-13)
    assert measures.compare("cknna", x, y, k=k, centre=centre) == expected


def test_cknna_without_common_neighbours_is_zero():
    circle = np.linspace(0, 2 * np.pi, 25)[:-1]
    x = np.column_stack([np.cos(circle), np.sin(circle)])
    y = x[np.arange(24) * 5 % 24]  # neighbours of x are five steps apart
    assert measures.compare("cknna", x, y, k=2) == 0
    assert measures.compare("mutual_knn", x, y, k=2) == 0


def test_cknna_of_independent_features_is_small():
    assert measures.floor("cknna", 500, 50, 40, 0) == pytest.approx(0, abs=0.03)


def test_cknna_after_needs_more_images_than_a_few():
    x, y = np.random.default_rng(5).normal(size=(2, 4, 4))
    assert measures.compare("cknna", x, y, k=1, centre=False, centring="after") > 2  # and not at most 1
    x, y = np.random.default_rng(6).normal(size=(2, 4, 4))
    with pytest.raises(
        ValueError, match=r"^CKNNA is undefined: HSIC of the neighbours with themselves is zero or less; "
    ):
        measures.compare("cknna", x, y, k=2, centring="after")


def test_cknna_keeps_no_dense_matrix():
    state = cknna.prepare(np.random.default_rng(0).normal(size=(300, 5)))
    assert state.kernel.nnz == 3000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be a whole number of at least 1, got 0"),
        ({"k": 70}, "at least 72 images are needed, got 70"),
        ({"centre": 2}, "centre must be one of True, False, got 2"),
        ({"centring": "never"}, "centring must be one of 'before', 'after', got 'never'"),
    ],
)
def test_cknna_rejects(options, message):
    with pytest.raises(ValueError, match=f"^cknna of net: {message}$"):
        measures.prepare("cknna", clouds()[0], who="net", **options)
