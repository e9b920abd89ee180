"""Linear regression: R squared of a fit that least squares finds."""

import numpy as np
import pytest

from mettle import measures


def by_least_squares(x, y):
    design = np.column_stack([np.ones(len(x)), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - (residual**2).sum() / ((y - y.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize(("d", "e"), [(3, 7), (7, 3), (1, 1)])
def test_equals_least_squares(d, e):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(40, d)) + 5
    y = x @ rng.normal(size=(d, e)) + 2 * rng.normal(size=(40, e))
    for first, second in ((x, y), (y, x)):
        expected = by_least_squares(first, second)
        assert measures.compare("linear_regression", first, second) == pytest.approx(expected, abs=1e-12)


def test_the_first_explains_the_second():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    part = x[:, :2] @ rng.normal(size=(2, 2))
    assert measures.compare("linear_regression", x, part) == pytest.approx(1)
    assert measures.compare("linear_regression", part, x) < 0.6


def test_any_linear_map_of_the_first_does_as_well():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 5))
    bent = x @ rng.normal(size=(5, 5))
    expected = measures.compare("linear_regression", x, y)
    assert measures.compare("linear_regression", bent, y) == pytest.approx(expected)
    assert measures.compare("linear_regression", y, bent) != pytest.approx(measures.compare("linear_regression", y, x))


def test_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 60))
    assert measures.compare("linear_regression", x, y) == pytest.approx(60 / 299, rel=0.05)


def test_a_dead_unit_changes_nothing():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 5))
    dead = np.column_stack([x, np.full(40, 0.3)])
    assert measures.compare("linear_regression", dead, y) == pytest.approx(measures.compare("linear_regression", x, y))
    assert measures.compare("linear_regression", y, dead) == pytest.approx(measures.compare("linear_regression", y, x))


def test_min_images():
    assert measures.get("linear_regression").min_images(512) == 514
