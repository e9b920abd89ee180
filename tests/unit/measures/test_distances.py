"""Measures of distances between images: the matrices written out, and the numbers of resi."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from mettle import measures
from mettle.measures import distances


def matrices(x, y):
    return [squareform(pdist(z)) for z in (x, y)]


def doubly_centred(matrix):
    n = len(matrix)
    centre = np.eye(n) - 1 / n
    return centre @ matrix @ centre


@pytest.mark.parametrize("name", ["distance_correlation", "rsm_norm_difference"])
def test_golden(name, pair, golden):
    ((options, value, tolerance),) = golden(name)
    assert measures.compare(name, *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("n", "d"), [(3, 2), (60, 5), (40, 90)])
def test_distance_correlation_equals_the_centred_matrices(n, d):
    x, y = np.random.default_rng(n).normal(size=(2, n, d)) + 50
    a, b = (doubly_centred(matrix) for matrix in matrices(x, y))
    expected = np.sqrt((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    assert measures.compare("distance_correlation", x, y) == pytest.approx(expected, abs=1e-10)


def test_distance_correlation_of_lines_is_that_of_numbers():
    """In one dimension, 1 if and only if one is a linear map of the other."""
    x = np.random.default_rng(0).normal(size=(30, 1))
    assert measures.compare("distance_correlation", x, -3 * x + 2) == pytest.approx(1)
    assert measures.compare("distance_correlation", x, x**2) < 0.9


def test_distance_correlation_sees_dependence_without_correlation():
    x = np.linspace(-1, 1, 101)[:, None]
    assert abs(np.corrcoef(x[:, 0], x[:, 0] ** 2)[0, 1]) < 1e-12
    assert measures.compare("distance_correlation", x, x**2) > 0.4


def test_floor_of_wide_independent_features():
    assert measures.floor("distance_correlation", 100, 1000, 1000, 0) > 0.9
    assert measures.floor("distance_correlation", 2000, 2, 2, 0) < 0.1


@pytest.mark.parametrize("n", [2, 30, 80])
@pytest.mark.parametrize(("norm", "order"), [("frobenius", "fro"), ("spectral", 2)])
def test_difference_equals_the_norm_of_the_matrices(n, norm, order):
    x, y = np.random.default_rng(n).normal(size=(2, n, 4))
    a, b = matrices(x, y)
    expected = pytest.approx(np.linalg.norm(a - b, ord=order), rel=1e-9)
    assert measures.compare("rsm_norm_difference", x, y, norm=norm) == expected


def test_spectral_difference_of_many_equal_images():
    x = np.random.default_rng(0).normal(size=(80, 4))
    assert measures.compare("rsm_norm_difference", x, x, norm="spectral") == 0


def test_difference_is_a_metric_that_sees_the_scale():
    for seed in range(10):
        x, y, z = np.random.default_rng(seed).normal(size=(3, 12, 4))
        way = measures.compare("rsm_norm_difference", x, y) + measures.compare("rsm_norm_difference", y, z)
        assert measures.compare("rsm_norm_difference", x, z) <= way
    expected = pytest.approx(2 * np.linalg.norm(squareform(pdist(x))))
    assert measures.compare("rsm_norm_difference", x, 3 * x) == expected


def test_sums_are_those_of_the_matrix():
    x = np.random.default_rng(0).normal(size=(17, 3))
    state = distances.prepare(x)
    np.testing.assert_allclose(state.sums, squareform(pdist(x)).sum(axis=1))


def test_unknown_norm():
    with pytest.raises(ValueError, match=r"^rsm_norm_difference of net: norm must be one of 'frobenius', 'spectral', "):
        measures.prepare("rsm_norm_difference", np.eye(4), who="net", norm="l1")
