"""Samples of positions: sorted, repeatable, unbiased, and the same for every model."""

import numpy as np
import pytest

from mettle.data.sample import draw, shared


@pytest.mark.parametrize(("n", "sample"), [(100, 1), (100, 37), (100, 99)])
def test_a_draw_is_sorted_unique_and_repeatable(n, sample):
    found = draw(n, sample, 5)
    assert len(found) == sample
    assert (np.diff(found) > 0).all()
    assert found.min() >= 0
    assert found.max() < n
    assert np.array_equal(found, draw(n, sample, 5))
    assert not np.array_equal(found, draw(n, sample, 6))


@pytest.mark.parametrize("sample", [100, 101])
def test_a_sample_no_smaller_than_the_whole_is_the_whole(sample):
    assert np.array_equal(draw(100, sample, 5), np.arange(100))


def test_every_position_is_as_likely():
    counts = sum(np.bincount(draw(20, 5, seed), minlength=20) for seed in range(2000))
    assert counts.sum() == 10000
    assert abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_a_shared_sample_depends_on_seed_and_data_set_and_without_a_size_is_all():
    first = shared(100, 20, 0, "a")
    assert np.array_equal(first, shared(100, 20, 0, "a")) and len(first) == 20
    assert not np.array_equal(first, shared(100, 20, 1, "a"))
    assert not np.array_equal(first, shared(100, 20, 0, "b"))
    assert np.array_equal(shared(100, None, 0, "a"), np.arange(100))
