"""Random numbers of attacks: distribution, independence of batch and order, agreement with a plain integer form."""

import numpy as np
import pytest
import torch
from scipy import stats

from mettle.perturb.draws import Draws
from mettle.seeds import derive

IDS = list(range(200))


def splitmix(key: int, position: int) -> int:
    """Plain integer form, as published."""
    value = (key + position * 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_numbers_are_those_of_splitmix64():
    found = Draws(3, [0, 7, 2**40]).uniform([5], "start", 1)
    for row, image in enumerate([0, 7, 2**40]):
        key = splitmix(derive(3, "start", 1) % 2**64, image)
        expected = [(splitmix(key, j) >> 40) / 2**24 for j in range(1, 6)]
        assert found[row].tolist() == expected


def test_an_image_draws_the_same_in_any_company():
    whole = Draws(0, IDS)
    some = torch.tensor([5, 150, 3])
    for draw in ("uniform", "normal"):
        expected = getattr(whole, draw)([3, 4, 4], "a", 2)[some]
        assert torch.equal(getattr(whole.take(some), draw)([3, 4, 4], "a", 2), expected)
        assert torch.equal(getattr(Draws(0, [5, 150, 3]), draw)([3, 4, 4], "a", 2), expected)
    mask = torch.zeros(200, dtype=torch.bool).index_fill(0, some, True)
    assert whole.take(mask).ids.tolist() == [3, 5, 150]


@pytest.mark.parametrize("other", [(1, "a", 0), (0, "b", 0), (0, "a", 1)])
def test_seed_purpose_and_counter_all_count(other):
    seed, purpose, counter = other
    first, second = Draws(0, IDS).uniform([50], "a", 0), Draws(seed, IDS).uniform([50], purpose, counter)
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.05
    assert (first == second).float().mean() < 0.01


def test_distributions():
    draws = Draws(0, IDS)
    uniform, normal = draws.uniform([500], "a").flatten(), draws.normal([500], "a").flatten()
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 0.01
    assert stats.kstest(normal, "norm").pvalue > 0.01
    across = draws.uniform([500], "a")
    assert np.abs(np.corrcoef(across))[~np.eye(200, dtype=bool)].max() < 0.25
    counts = torch.bincount(draws.integers(7, [500], "a").flatten(), minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 0.01
