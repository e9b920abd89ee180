"""Second-order cosine: sums over products of features are those over matrices of cosines."""

import numpy as np
import pytest

from mettle import measures


def by_matrices(x, y, centre=True):
    rows = []
    for z in (x, y):
        z = z - z.mean(axis=0) if centre else z
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        rows.append(z @ z.T - np.eye(len(z)))
    a, b = rows
    return np.mean((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def test_golden(pair, golden):
    ((options, value, tolerance),) = golden("cosine")
    assert measures.compare("cosine", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("d", "e"), [(3, 4), (3, 80), (80, 3), (80, 130), (30, 30)])
@pytest.mark.parametrize("centre", [True, False])
def test_equals_the_definition(d, e, centre):
    rng = np.random.default_rng(d * e)
    x, y = rng.normal(size=(30, d)) + 1, rng.normal(size=(30, e))
    y[:, 0] += x[:, 0]
    expected = by_matrices(x, y, centre)
    assert measures.compare("cosine", x, y, centre=centre) == pytest.approx(expected, abs=1e-12)
    single = measures.compare("cosine", x.astype(np.float32), y.astype(np.float32), centre=centre)
    assert single == pytest.approx(expected, abs=1e-6)


def test_opposite_cosines():
    x = np.array([[1.0, 0], [0.6, 0.8], [-0.6, 0.8]])
    y = np.array([[1.0, 0], [-0.6, 0.8], [0.6, 0.8]])
    assert -1 <= measures.compare("cosine", x, y, centre=False) < 0


def test_image_without_second_order_cosine():
    x = np.random.default_rng(0).normal(size=(6, 4))
    x[:, 3], x[2] = 0, [0, 0, 0, 1]
    with pytest.raises(ValueError, match=r"^cosine of vgg: row 2 has cosine 0 with all others, so there is no second"):
        measures.prepare("cosine", x, who="vgg", centre=False)
    x[2] = 0
    with pytest.raises(ValueError, match=r"^cosine of vgg: row 2 has length 0 .* no cosine$"):
        measures.prepare("cosine", x, who="vgg", centre=False)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_image_in_the_middle(dtype):
    """What rounding leaves of the length of an image that is the mean is no direction."""
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(dtype)
    x[6] = x[:6].mean(axis=0)
    with pytest.raises(ValueError, match=r"^cosine of x: row 6 has length 0 \(or below 1e-\d+ of the longest\)"):
        measures.compare("cosine", x, x)


@pytest.mark.parametrize(("n", "d"), [(20, 2000), (60, 2000), (300, 40)])
def test_floor_of_independent_features(n, d):
    assert measures.floor("cosine", n, d, d, 0) == pytest.approx(d / (d + n**2), abs=0.03)


def test_centre_is_a_truth_value():
    x = np.random.default_rng(0).normal(size=(6, 4))
    with pytest.raises(ValueError, match=r"^cosine of x: centre must be one of True, False, got 'no'$"):
        measures.compare("cosine", x, x, centre="no")
