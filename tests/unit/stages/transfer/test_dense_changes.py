"""Random changes of images and label maps: both alike, the image's padding is its mean, and the seed decides."""

import numpy as np
import pytest
import torch
from dense_trainings import RECIPE, recipe

from mettle.data.loading import seeded
from mettle.stages.transfer.maps import segmentation


def changed(image, labels, seed=0, size=32, scale=(64, 64), ignore=None, **augment):
    shape = RECIPE["input"] | {"size": size, "scale": list(scale)}
    change = segmentation(recipe(input=shape, augment=augment), ignore)
    with seeded(seed):
        return change(image, labels)


def ramp(height=64, width=64):
    """An image whose red channel says the column, and a label map that does too."""
    columns = np.tile(np.arange(width, dtype=np.uint8) * (256 // width), (height, 1))
    return np.stack([columns, np.full_like(columns, 10), np.full_like(columns, 200)], axis=-1), columns // 16


def test_nothing_is_changed_by_default():
    assert segmentation(recipe(), None) is None


def test_flips_are_of_both_and_of_half_the_images():
    image, labels = ramp()
    flipped = 0
    for seed in range(20):
        found, classes = changed(image, labels, seed, size=64, horizontal_flip=True)
        turned = found[0, 0, 0] > found[0, 0, -1]
        expected = image[:, ::-1] if turned else image
        torch.testing.assert_close(found, torch.from_numpy(expected.copy()).permute(2, 0, 1) / 255, atol=1e-6, rtol=0)
        assert np.array_equal(classes, labels[:, ::-1] if turned else labels)
        flipped += int(turned)
    assert 4 < flipped < 16


def test_crops_are_of_both_and_of_the_input_size():
    image, labels = ramp()
    for seed in range(5):
        found, classes = changed(image, labels, seed, resize_range=[1.0, 1.0])
        assert found.shape == (3, 32, 32) and classes.shape == (32, 32)
        assert np.array_equal((found[0] * 255).round().numpy().astype(int) // 16, classes)
    firsts = {changed(image, labels, seed, resize_range=[1.0, 1.0])[0][0, 0, 0].item() for seed in range(8)}
    assert len(firsts) > 3


def test_a_smaller_image_is_padded_with_its_mean_and_its_label_map_with_the_ignored_value():
    image, labels = ramp()
    found, classes = changed(image, labels, resize_range=[0.25, 0.25], ignore=77)
    assert (classes[16:] == 77).all() and (classes[:16, :16] != 77).all()
    assert torch.equal(found[:, 16:], torch.full((3, 16, 32), 0.5))
    assert (changed(image, labels, resize_range=[0.25, 0.25])[1][16:] == 255).all()


def test_one_class_may_not_take_more_than_its_part_of_a_crop():
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 40:] = 1
    image = np.zeros((64, 64, 3), np.uint8)
    parts = []
    for largest in (1.0, 0.75):
        crops = [changed(image, labels, seed, resize_range=[1.0, 1.0], largest_class=largest)[1] for seed in range(30)]
        parts.append(max(max((crop == label).mean() for label in (0, 1)) for crop in crops))
    assert parts[0] == 1 and parts[1] < 0.76


def test_colours_change_by_channel_and_the_label_map_stays():
    image, labels = ramp()
    found, classes = changed(image, labels, 3, size=64, photometric=True)
    assert np.array_equal(classes, labels)
    assert found.min() >= 0 and found.max() <= 1
    assert not torch.allclose(found, torch.from_numpy(image).permute(2, 0, 1) / 255, atol=0.02)


def test_channels_keep_their_order():
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 200
    found, _ = changed(image, image[..., 0] * 0, resize_range=[1.0, 1.0])
    assert found.amax((1, 2)).tolist() == pytest.approx([200 / 255, 0, 0], abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides(seed):
    options = {"resize_range": [0.5, 2.0], "horizontal_flip": True, "photometric": True}
    first, again, other = (changed(*ramp(), one, **options)[0] for one in (seed, seed, seed + 5))
    assert torch.equal(first, again) and not torch.equal(first, other)
