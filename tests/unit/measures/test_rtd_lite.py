"""RTD-Lite: golden value, spanning trees by scipy, and its place within RTD."""

import numpy as np
import pytest
from ripser import ripser
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from mettle import measures
from mettle.measures import rtd


def test_golden(pair, golden):
    ((options, value, tolerance),) = golden("rtd_lite")
    assert measures.compare("rtd_lite", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


def test_equals_spanning_trees_by_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 9)), rng.normal(size=(60, 3))
    options = {"points": 30, "trials": 3, "seed": 4}
    each = []
    for rows in rtd.subsamples(60, **options):
        a, b = (cdist(z[rows], z[rows]) for z in (x, y))
        a, b = a / np.quantile(a, 0.9), b / np.quantile(b, 0.9)
        first, second, least = (minimum_spanning_tree(d).sum() for d in (a, b, np.minimum(a, b)))
        each.append((first - least + second - least) / 2)
    assert measures.compare("rtd_lite", x, y, **options) == pytest.approx(np.mean(each), rel=1e-12)


def test_is_what_components_add_to_rtd():
    """The H0 bars of each cloud minus those of the least distances; the rest of RTD is not negative."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 5)), rng.normal(size=(50, 2))
    a, b = (rtd.normalised_distances(z) for z in (x, y))
    lives = [ripser(d, distance_matrix=True, maxdim=0)["dgms"][0][:-1, 1].sum() for d in (a, b, np.minimum(a, b))]
    found = measures.compare("rtd_lite", x, y, points=50, trials=1)
    rows = np.arange(50)[None]
    assert measures.get("rtd_lite").score(*(rtd.prepare_rows(z, rows) for z in (x, y))) == pytest.approx(found)
    assert found == pytest.approx((lives[0] + lives[1]) / 2 - lives[2], rel=1e-6)
    assert found < measures.compare("rtd", x, y, points=50, trials=1)


def test_equal_points():
    """Images that one model cannot tell apart are distances of zero, not missing edges."""
    x = np.random.default_rng(0).normal(size=(30, 4))
    y = np.repeat(x[:10], 3, axis=0)
    a, b = rtd.normalised_distances(x), rtd.normalised_distances(y)
    first, second, least = (minimum_spanning_tree(d + 1 - np.eye(30)).sum() for d in (a, b, np.minimum(a, b)))
    found = measures.compare("rtd_lite", x, y, points=30, trials=1)
    assert found == pytest.approx((first + second) / 2 - least, rel=1e-9)
    assert found > 1


def test_other_subsamples_are_refused():
    x = np.random.default_rng(0).normal(size=(50, 3))
    a = measures.prepare("rtd_lite", x, points=20, trials=2)
    for options in ({"seed": 1}, {"points": 19}, {"trials": 3}):
        b = measures.prepare("rtd_lite", x, **{"points": 20, "trials": 2} | options)
        with pytest.raises(ValueError, match=r"^RTD needs the same subsamples for both"):
            measures.get("rtd_lite").score(a, b)


def test_min_images():
    needed = measures.get("rtd_lite").min_images
    assert (needed(8), needed(8, points=30, trials=2)) == (500, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 2}, "points must be a whole number of at least 3, got 2"),
        ({"points": 41}, "at least 41 images are needed, got 40"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"seed": 0.5}, "seed must be a whole number of at least 0, got 0.5"),
    ],
)
def test_options_without_meaning(options, message):
    x = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(ValueError, match=f"^rtd_lite of x: {message}$"):
        measures.compare("rtd_lite", x, x, **{"points": 20} | options)


def test_nearly_all_images_equal():
    x = np.zeros((40, 3))
    x[0] = 1
    with pytest.raises(ValueError, match=r"^rtd_lite of net: RTD is undefined: the 0.9 quantile .* is zero$"):
        measures.prepare("rtd_lite", x, who="net", points=40)
