"""IMD: the heat trace from Chebyshev polynomials is that of all eigenvalues, and the distance that of the authors."""

import numpy as np
import pytest

from mettle import measures
from mettle.measures import imd


def laplacian(x, k):
    """The normalised Laplacian of the graph of nearest neighbours, image by image."""
    links = np.zeros((len(x), len(x)))
    for i, row in enumerate(x):
        apart = ((x - row) ** 2).sum(axis=1)
        apart[i] = np.inf
        for j in np.argsort(apart)[:k]:
            links[i, j] = links[j, i] = 1
    degree = links.sum(axis=1)
    return np.eye(len(x)) - links / np.sqrt(np.outer(degree, degree))


def test_golden(pair, golden):
    ((options, value, tolerance),) = golden("imd")
    found = measures.compare("imd", *pair, **options)
    assert found == pytest.approx(value, rel=0, abs=tolerance)
    ((_, estimate, tolerance),) = golden("imd estimated")
    assert found == pytest.approx(estimate, rel=0, abs=tolerance)


@pytest.mark.parametrize(("n", "k"), [(8, 1), (50, 5), (300, 3)])
def test_heat_trace_is_that_of_the_eigenvalues(n, k):
    x = np.random.default_rng(n).normal(size=(n, 4))
    eigenvalues = np.linalg.eigvalsh(laplacian(x, k))
    expected = np.exp(-np.outer(imd.TIMES, eigenvalues)).mean(axis=1)
    np.testing.assert_allclose(imd.prepare(x, k).trace, expected, rtol=0, atol=1e-13)


def test_trace_of_one_time_by_hand():
    """Four pairs far from each other: eigenvalues 0 and 2, four times each."""
    x = 100.0 * np.repeat(np.arange(4), 2)[:, None] + np.tile([0.0, 1], 4)[:, None]
    np.testing.assert_allclose(imd.prepare(x, k=1).trace, (1 + np.exp(-2 * imd.TIMES)) / 2, atol=1e-13)


def test_a_line_is_nearer_to_another_line_than_to_a_cloud():
    rng = np.random.default_rng(0)
    line, other = (np.outer(np.sort(rng.uniform(size=200)), np.ones(3)) for _ in range(2))
    cloud = rng.normal(size=(200, 3))
    assert measures.compare("imd", line, other) < measures.compare("imd", line, cloud) / 3


def test_which_image_is_which_does_not_matter():
    x = np.random.default_rng(0).normal(size=(60, 4))
    assert measures.compare("imd", x, x[::-1]) == pytest.approx(0, abs=1e-6)


def test_too_few_neighbours():
    with pytest.raises(ValueError, match=r"^imd of net: k must be a whole number of at least 1, got 0$"):
        measures.prepare("imd", np.eye(40), who="net", k=0)
