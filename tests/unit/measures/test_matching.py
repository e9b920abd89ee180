"""Matching of units: the best plan, found by trying all permutations where there are few units."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linprog

from mettle import measures
from mettle.measures import matching


def correlations(x, y):
    return np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]


def by_linear_programme(gain):
    """The transport problem with all its constraints, by a general solver."""
    p, q = gain.shape
    rows, columns = np.kron(np.eye(p), np.ones(q)), np.kron(np.ones(p), np.eye(q))
    sums = np.concatenate([np.full(p, 1 / p), np.full(q, 1 / q)])
    return -linprog(-gain.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=sums).fun


def test_equals_the_best_permutation():
    x, y = np.random.default_rng(0).normal(size=(2, 12, 6))
    gain = correlations(x, y)
    best = max(np.mean([gain[i, j] for i, j in enumerate(order)]) for order in permutations(range(6)))
    assert measures.compare("soft_matching", x, y) == pytest.approx(best, abs=1e-14)


@pytest.mark.parametrize(("d", "e"), [(4, 7), (7, 4), (1, 5), (6, 9)])
def test_equals_the_linear_programme(d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(15, d)), rng.normal(size=(15, e))
    expected = by_linear_programme(correlations(x, y))
    assert measures.compare("soft_matching", x, y) == pytest.approx(expected, abs=1e-9)


def test_transport_between_equal_widths_is_a_permutation():
    gain = np.random.default_rng(0).normal(size=(30, 30))
    assert matching._transport(gain) == pytest.approx(matching._permutation(gain), abs=1e-12)


def test_doubled_units_change_nothing():
    """Two copies of every unit take half the weight each: the widths differ, the best plan does not."""
    x, y = np.random.default_rng(0).normal(size=(2, 20, 6))
    expected = measures.compare("soft_matching", x, y)
    assert measures.compare("soft_matching", x, np.repeat(y, 2, axis=1)) == pytest.approx(expected)
    assert measures.compare("soft_matching", x, np.repeat(x, 3, axis=1)) == pytest.approx(1)


def test_order_scale_and_offset_of_units_do_not_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6))
    changed = x[:, rng.permutation(6)] * rng.uniform(0.1, 9, 6) + rng.normal(size=6)
    assert measures.compare("soft_matching", x, changed) == pytest.approx(1)


def test_rotation_matters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    turned = x @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert measures.compare("soft_matching", x, turned) < 0.9


def test_signs_matter():
    x = np.random.default_rng(0).normal(size=(200, 1))
    assert measures.compare("soft_matching", x, -x) == pytest.approx(-1)


def test_dead_units_are_left_out():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 5))
    rounding = np.where(np.arange(20) % 3, 0.1, np.nextafter(0.1, 1))
    dead = np.column_stack([x, np.zeros(20), np.full(20, 0.1), rounding])
    assert measures.prepare("soft_matching", dead).shape == (20, 5)
    assert measures.compare("soft_matching", dead, y) == measures.compare("soft_matching", x, y)
    assert measures.compare("soft_matching", dead, dead) == pytest.approx(1)


def test_floor_of_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 100))
    assert measures.compare("soft_matching", x, y) > 0.3


def test_a_solver_that_gives_up_is_an_error(monkeypatch):
    monkeypatch.setattr(matching, "_PIVOTS", 1)
    x, y = np.random.default_rng(0).normal(size=(20, 30)), np.random.default_rng(1).normal(size=(20, 25))
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match=r"^optimal transport did not finish: "):
        measures.compare("soft_matching", x, y)


@pytest.mark.parametrize("name", ["hard_matching", "semi_matching"])
def test_golden(name, pair, golden):
    ((options, value, tolerance),) = golden(name)
    assert measures.compare(name, *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("d", "e"), [(4, 4), (3, 6), (6, 3)])
def test_hard_matching_is_the_best_choice_of_units(d, e):
    rng = np.random.default_rng(d)
    gain = correlations(x := rng.normal(size=(12, d)), y := rng.normal(size=(12, e)))
    gain = gain if d <= e else gain.T
    best = max(
        np.mean([gain[i, j] for i, j in enumerate(order)]) for order in permutations(range(max(d, e)), min(d, e))
    )
    assert measures.compare("hard_matching", x, y) == pytest.approx(best, abs=1e-14)


def test_hard_matching_is_soft_matching_of_equal_widths():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 9))
    assert measures.compare("hard_matching", x, y) == measures.compare("soft_matching", x, y)


def test_hard_matching_leaves_units_over():
    x = np.random.default_rng(0).normal(size=(20, 9))
    assert measures.compare("hard_matching", x[:, 2:5], x) == pytest.approx(1)
    assert measures.compare("semi_matching", x[:, 2:5], x) < 0.9


def test_semi_matching_uses_units_more_than_once():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 5))
    gain = correlations(x, y)
    expected = np.mean([max(row) for row in gain]) / 2 + np.mean([max(row) for row in gain.T]) / 2
    assert measures.compare("semi_matching", x, y) == pytest.approx(expected, abs=1e-14)
    assert measures.compare("semi_matching", x, y) >= measures.compare("hard_matching", x, y)
    assert measures.compare("semi_matching", x, np.repeat(x, 3, axis=1)) == pytest.approx(1)


@pytest.mark.parametrize("name", ["hard_matching", "semi_matching"])
def test_signs_and_dead_units_are_as_in_soft_matching(name):
    x, y = np.random.default_rng(0).normal(size=(2, 200, 1))
    assert measures.compare(name, x, -x) == pytest.approx(-1)
    expected = pytest.approx(measures.compare(name, x, y), abs=1e-13)
    assert measures.compare(name, np.pad(x, [(0, 0), (0, 3)]), y) == expected
