"""Ranks over models and their intervals over images."""

import numpy as np

from mettle.stages.cards.ranks import ranks


def some(models=6, n=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((models, n)) < np.linspace(0.3, 0.8, models)[:, None]


def test_the_rank_is_that_of_the_accuracy():
    right = some()
    order = (-right.mean(1)).argsort()
    found = ranks(right, 0)
    assert list(found[order, 0]) == [1, 2, 3, 4, 5, 6]
    assert (found[:, 1] <= found[:, 0]).all() and (found[:, 0] <= found[:, 2]).all()


def test_equal_models_share_a_rank_whatever_is_drawn():
    right = np.concatenate([some(2)[:1]] * 3)
    assert (ranks(right, 0) == 1).all()


def test_a_model_that_is_right_wherever_another_is_never_ranks_below_it():
    rng = np.random.default_rng(1)
    low = rng.random(100) < 0.5
    found = ranks(np.stack([low | (rng.random(100) < 0.2), low]), 0)
    assert (found[0] == 1).all()


def test_intervals_narrow_with_images_and_come_from_the_seed():
    wide, narrow = ranks(some(n=20), 0), ranks(some(n=5000), 0)
    assert (wide[:, 2] - wide[:, 1]).sum() > (narrow[:, 2] - narrow[:, 1]).sum()
    close = some(models=30, n=40)
    assert (ranks(close, 3) == ranks(close, 3)).all() and (ranks(close, 3) != ranks(close, 4)).any()


def test_the_order_of_the_models_does_not_matter():
    right, order = some(), np.array([3, 0, 5, 1, 4, 2])
    assert (ranks(right[order], 0) == ranks(right, 0)[order]).all()
