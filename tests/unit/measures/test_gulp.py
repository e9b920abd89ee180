"""GULP: traces of covariances, differences of ridge predictions and distances of smoothers are one number."""

import numpy as np
import pytest

from mettle import measures


def by_traces(x, y, ridge):
    """The published formula, with covariances and inverses written out."""
    n = len(x)
    x, y = (z - z.mean(axis=0) for z in (x, y))
    x, y = (z * np.sqrt(n) / np.linalg.norm(z) for z in (x, y))
    sx, sy, sxy = x.T @ x / n, y.T @ y / n, x.T @ y / n
    rx, ry = (np.linalg.inv(s + ridge * np.eye(len(s))) for s in (sx, sy))
    return np.trace(sx @ rx @ sx @ rx) + np.trace(sy @ ry @ sy @ ry) - 2 * np.trace(rx @ sxy @ ry @ sxy.T)


def predictions(x, labels, ridge):
    """Fitted values of ridge regression on the scaled features."""
    x = x - x.mean(axis=0)
    x = x * np.sqrt(len(x)) / np.linalg.norm(x)
    return x @ np.linalg.solve(x.T @ x / len(x) + ridge * np.eye(x.shape[1]), x.T @ labels / len(x))


def test_golden(pair, golden):
    rows = golden("gulp")
    assert len(rows) == 2
    for options, value, tolerance in rows:
        assert measures.compare("gulp", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize("ridge", [0, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("d", "e"), [(3, 4), (12, 5)])
def test_equals_the_traces(ridge, d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(30, d)) + 2, rng.normal(size=(30, e))
    y[:, 0] += x[:, 0]
    assert measures.compare("gulp", x, y, ridge=ridge) == pytest.approx(by_traces(x, y, ridge), rel=1e-10)


@pytest.mark.parametrize(("d", "e"), [(50, 4), (50, 60)])
def test_equals_the_traces_where_features_are_wider_than_images(d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(20, d)), rng.normal(size=(20, e))
    assert measures.compare("gulp", x, y, ridge=0.01) == pytest.approx(by_traces(x, y, 0.01), rel=1e-9)


def test_is_the_difference_of_predictions_summed_over_labels():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(25, 4)), rng.normal(size=(25, 6))
    labels = np.linalg.qr(rng.normal(size=(25, 25)))[0]
    gaps = predictions(x, labels, 0.1) - predictions(y, labels, 0.1)
    distance = measures.compare("gulp", x, y, ridge=0.1)
    assert distance == pytest.approx((gaps**2).sum(), rel=1e-10)
    assert (gaps**2).sum(axis=0).max() <= distance


def test_without_ridge_it_is_cca():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 8))
    squares = 5 * measures.compare("cca", x, y, statistic="mean_square")
    assert measures.compare("gulp", x, y, ridge=0) == pytest.approx(5 + 8 - 2 * squares)
    assert measures.compare("gulp", x @ rng.normal(size=(5, 5)), y, ridge=0) == pytest.approx(5 + 8 - 2 * squares)


def test_with_much_ridge_it_is_the_distance_of_gram_matrices():
    rng = np.random.default_rng(0)
    x, y = (z - z.mean(axis=0) for z in rng.normal(size=(2, 30, 5)))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    ridge = 1e6
    expected = np.linalg.norm(x @ x.T - y @ y.T) ** 2
    assert ridge**2 * measures.compare("gulp", x, y, ridge=ridge) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ridge", [0, 0.01, 1.0])
def test_its_root_is_a_metric(ridge):
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, z = (rng.normal(size=(20, d)) for d in rng.integers(2, 8, size=3))
        a, b, c = (np.sqrt(measures.compare("gulp", *both, ridge=ridge)) for both in ((x, y), (y, z), (x, z)))
        assert c <= a + b + 1e-12


def test_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 400, 40))
    expected = 80 - 2 * 40 * 40 / 399
    assert measures.compare("gulp", x, y, ridge=0) == pytest.approx(expected, rel=0.02)


def test_a_dead_unit_changes_nothing():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 5))
    dead = np.column_stack([x, np.full(40, 0.3)])
    assert measures.compare("gulp", dead, y, ridge=0) == pytest.approx(measures.compare("gulp", x, y, ridge=0))


def test_min_images():
    needed = measures.get("gulp").min_images
    assert (needed(100), needed(100, ridge=0)) == (3, 201)
    x = np.random.default_rng(0).normal(size=(16, 8))
    with pytest.raises(ValueError, match=r"^gulp of x: at least 17 images are needed, got 16$"):
        measures.compare("gulp", x, x, ridge=0)


@pytest.mark.parametrize("ridge", [-0.1, float("nan"), float("inf"), "much", True])
def test_ridge_without_meaning(ridge):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^gulp of x: ridge must be a number of at least 0, got "):
        measures.compare("gulp", x, x, ridge=ridge)
