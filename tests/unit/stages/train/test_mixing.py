"""MixUp and CutMix: what is mixed, in which share, and that a part of a batch is mixed as the whole is."""

import numpy as np
import pytest
import torch

from mettle.distributed import portion
from mettle.stages.train.mixing import _box, mix

OFF = {"mixup": 0.0, "cutmix": 0.0, "mix_probability": 1.0}
MIXUP, CUTMIX = OFF | {"mixup": 0.8}, OFF | {"cutmix": 1.0}


def batch(n=6, size=16):
    """Image i has the value (i + 1) / n everywhere, and label i % 5."""
    values = torch.arange(1, n + 1).float() / n
    return values.view(n, 1, 1, 1).expand(n, 3, size, size).clone(), torch.arange(n) % 5


@pytest.mark.parametrize("augment", [OFF, MIXUP | {"mix_probability": 0.0}])
def test_without_mixing_batch_and_labels_are_as_they_were(augment):
    images, labels = batch()
    mixed, targets = mix(images, labels, 5, augment, seed=0)
    assert mixed is images
    assert targets is labels


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX, MIXUP | {"cutmix": 1.0}])
@pytest.mark.parametrize("n", [6, 7, 1])
def test_targets_say_how_much_of_each_image_there_is(augment, n):
    images, labels = batch(n)
    before = images.clone()
    shares = set()
    for seed in range(40):
        mixed, targets = mix(images, labels, 5, augment, seed)
        torch.testing.assert_close(targets.sum(1), torch.ones(n))
        # The mean of an image that is constant says what share of it there is.
        found = mixed.mean((1, 2, 3))
        weights = torch.linspace(1, n, n) / n
        own = (found - weights.flip(0)) / (weights - weights.flip(0))
        for i in range(n):
            if labels[i] == labels[n - 1 - i]:
                assert targets[i, labels[i]] == pytest.approx(1)
            else:
                assert targets[i, labels[i]] == pytest.approx(own[i].item(), abs=1e-4)
                shares.add(round(own[i].item(), 3))
    assert torch.equal(images, before), "the images given were changed"
    assert len(shares) > 20 or n == 1


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX])
def test_views_of_an_image_are_mixed_alike(augment):
    images, labels = batch()
    views = torch.stack([images, images**2, 1 - images], 1)
    for seed in range(5):
        mixed, targets = mix(views, labels, 5, augment, seed)
        for view in range(3):
            alone, same = mix(views[:, view], labels, 5, augment, seed)
            assert torch.equal(mixed[:, view], alone) and torch.equal(targets, same)


def test_cutmix_takes_one_box_from_the_partner():
    images, labels = batch(2, 32)
    for seed in range(30):
        mixed, targets = mix(images, labels, 5, CUTMIX, seed)
        other = mixed[0] == images[1, 0, 0, 0]
        rows, columns = other[0].any(1), other[0].any(0)
        assert torch.equal(other[0], rows[:, None] & columns[None]), "no box"
        assert targets[0, 1] == pytest.approx(other[0].float().mean().item(), abs=1e-6)


def test_a_box_in_the_middle_has_the_area_asked_for():
    class Middle:
        def integers(self, size):
            return size // 2

    rows, columns, left = _box(64, 32, 0.75, Middle())
    assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 16)
    assert left == 0.75


def test_shares_follow_the_beta_distribution():
    images, labels = batch(2, 1)
    found = np.array([mix(images, labels, 5, MIXUP, seed)[1][0, 0].item() for seed in range(2000)])
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    assert found.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), rel=0.1)


def test_with_both_each_is_taken_half_of_the_time():
    images, labels = batch(2, 8)
    cut = [len(mix(images, labels, 5, MIXUP | {"cutmix": 1.0}, seed)[0][0].unique()) > 1 for seed in range(400)]
    assert 0.35 < np.mean(cut) < 0.65


def test_mix_probability_is_the_share_of_mixed_batches():
    images, labels = batch()
    mixed = [mix(images, labels, 5, MIXUP | {"mix_probability": 0.3}, seed)[0] is not images for seed in range(400)]
    assert 0.2 < np.mean(mixed) < 0.4


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX])
@pytest.mark.parametrize(("n", "count"), [(8, 2), (9, 2), (7, 3)])
def test_a_share_of_a_batch_is_mixed_as_the_whole(augment, n, count):
    images, labels = batch(n)
    whole = mix(images, labels, 5, augment, seed=3)
    for index in range(count):
        part = portion(np.arange(n), index, count)
        own = mix(images[part], labels[part], 5, augment, seed=3)
        for found, expected in zip(own, whole, strict=True):
            torch.testing.assert_close(found, expected[part])
