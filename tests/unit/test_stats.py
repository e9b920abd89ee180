"""Intervals and tests."""

import itertools

import numpy as np
import pytest

from mettle import stats


def test_the_mean_is_that_of_the_pairs_and_lies_in_its_interval():
    pairs = list(itertools.combinations("abcdef", 2))
    values = np.random.default_rng(0).normal(size=len(pairs))
    mean, lo, hi = stats.over_models(pairs, values, 0)
    assert mean == pytest.approx(values.mean()) and lo < mean < hi
    assert stats.over_models(pairs, values, 0) == (mean, lo, hi) != stats.over_models(pairs, values, 1)


def test_an_interval_over_models_is_wider_than_one_over_pairs():
    """One odd model touches many pairs: treated as independent, these would pretend to know more."""
    rng = np.random.default_rng(3)
    level = dict(zip("abcdefgh", rng.normal(size=8), strict=True))
    pairs = list(itertools.combinations(level, 2))
    values = np.array([level[a] + level[b] for a, b in pairs])
    _, lo, hi = stats.over_models(pairs, values, 0)
    means = rng.choice(values, (2000, len(values))).mean(1)
    assert hi - lo > 1.3 * np.subtract(*np.quantile(means, [0.975, 0.025]))


def test_intervals_over_models_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(200):
        level = np.random.default_rng(seed).normal(size=20)
        pairs = list(itertools.combinations(range(20), 2))
        names = [(str(a), str(b)) for a, b in pairs]
        _, lo, hi = stats.over_models(names, [level[a] + level[b] for a, b in pairs], seed)
        held += lo <= 0 <= hi
    assert 0.88 * 200 <= held <= 200


def test_one_pair_says_nothing_of_others():
    assert stats.over_models([("a", "b")], [0.3], 0) == (0.3, None, None)
    assert stats.over_models([("a", "b"), ("b", "a")], [0.3, 0.5], 0) == (0.4, None, None)


def test_both_directions_of_a_pair_may_be_there():
    pairs = list(itertools.permutations("abc", 2))
    mean, lo, hi = stats.over_models(pairs, range(6), 0)
    assert mean == 2.5 and 0 <= lo <= hi <= 5


def test_a_share_has_a_wilson_interval():
    found = stats.proportion(9, 10)
    z = 1.959963984540054
    centre, half = (0.9 + z**2 / 20) / (1 + z**2 / 10), z * np.sqrt(0.09 / 10 + z**2 / 400) / (1 + z**2 / 10)
    assert (found["value"], found["lo"], found["hi"]) == pytest.approx((0.9, centre - half, centre + half))


def test_the_p_value_of_a_constant_difference_is_that_of_all_signs_alike():
    assert stats.paired_test(np.full(6, 0.1), 9999, 0) == pytest.approx(2 / 2**6)
