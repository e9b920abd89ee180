"""Random changes of images together with the objects in them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mettle import schema
from mettle.data.item import decode_array
from mettle.data.loading import seeded
from mettle.data.streets import street
from mettle.models.detections import Annotations, annotations
from mettle.stages.transfer import objects
from mettle.stages.transfer.objects import detection

COCO = "config/recipes/coco_maskrcnn_swin_t.yaml"


def recipe(scale=None, **augment):
    shape = {"size": 96, "scale": scale, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    return schema.check({"task": "detection", "input": shape, "augment": augment}, "recipe", "a recipe")


@pytest.fixture(scope="module")
def item():
    """An image of 96 pixels, and its objects."""
    found = street(0, "train", 2)
    return decode_array(found.data), annotations(found.targets.objects, (96, 96))


def changed(options, item, seed=0):
    with seeded(seed, seed):
        return detection(options, None)(*item)


def tight(mask):
    """The box around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_without_options_there_is_no_change():
    assert detection(recipe(), None) is None


def test_half_of_the_images_are_mirrored_with_their_boxes_and_masks(item):
    image, target = item
    mirrored = 0
    for seed in range(30):
        pixels, found = changed(recipe(horizontal_flip=True), item, seed)
        flipped = not np.array_equal((255 * pixels).round().byte().permute(1, 2, 0).numpy(), image)
        mirrored += flipped
        expected = target.masks.flip(2) if flipped else target.masks
        assert torch.equal(found.masks, expected)
        for box, mask in zip(found.boxes, found.masks.numpy(), strict=True):
            assert box.tolist() == tight(mask)
    assert 8 <= mirrored <= 22


def test_images_are_resized_to_the_scale(item):
    image, target = item[0][:80], upper(item[1], 80)
    assert len(target)
    pixels, found = changed(recipe(scale=[200, 120]), (image, target))
    assert pixels.shape == (3, 120, 144) and found.size == (120, 144)
    torch.testing.assert_close(found.boxes, target.boxes * 1.5)
    assert found.masks.shape[1:] == (120, 144)
    areas = found.masks.sum((1, 2)) / target.masks.sum((1, 2))
    assert ((areas > 1.6) & (areas < 2.9)).all()  # 2.25, and coarse borders


def upper(target, height):
    """The objects in the upper part of an image."""
    inside = target.boxes[:, 3] <= height
    parts = {name: getattr(target, name)[inside] for name in ("boxes", "labels", "crowds")}
    return Annotations(**parts, masks=target.masks[inside, :height], size=(height, 96))


def test_sides_are_drawn_and_the_longer_one_is_bounded(item):
    options = recipe(scale=[150, 100], short_sides=[64, 96, 128, 192])
    shapes = [tuple(changed(options, item, seed)[0].shape[1:]) for seed in range(40)]
    assert set(shapes) == {(64, 64), (96, 96), (128, 128), (150, 150)}


def test_half_of_the_images_are_cropped_before(item):
    options = recipe(scale=[400, 400], short_sides=[96], crop_short_sides=[192], crop_range=[60, 120])
    plain, larger = 0, []
    for seed in range(40):
        pixels, found = changed(options, item, seed)
        if torch.equal((255 * pixels).round().byte().permute(1, 2, 0), torch.tensor(item[0])):
            plain += 1
            continue
        larger.append(pixels.shape)
        height, width = found.size
        assert min(height, width) == 96 and len(found) <= len(item[1])
        assert (found.boxes >= 0).all() and (found.boxes[:, 2] <= width).all() and (found.boxes[:, 3] <= height).all()
    assert 10 <= plain <= 30 and len(set(larger)) > 5


def test_changes_depend_on_the_seed_alone(item):
    options = recipe(scale=[200, 120], short_sides=[64, 100], horizontal_flip=True)
    both = [changed(options, item, seed=5) for _ in range(2)]
    assert torch.equal(both[0][0], both[1][0]) and torch.equal(both[0][1].boxes, both[1][1].boxes)


def test_the_target_that_is_given_is_not_changed(item):
    before = item[1].boxes.clone(), item[1].masks.clone()
    for seed in range(6):
        changed(recipe(scale=[200, 120], horizontal_flip=True), item, seed)
    assert torch.equal(item[1].boxes, before[0]) and torch.equal(item[1].masks, before[1])


def test_objects_without_masks_and_images_without_objects(item):
    image, target = item
    bare = replace(target, masks=None)
    assert changed(recipe(scale=[192, 192]), (image, bare))[1].masks is None
    pixels, none = changed(recipe(scale=[192, 192]), (image, annotations([], (96, 96))))
    assert pixels.shape == (3, 192, 192) and len(none) == 0 and none.masks.shape == (0, 192, 192)


def test_crops_of_the_paper_are_those_of_its_recipe():
    found = schema.check(schema.read_yaml(COCO), "recipe", COCO)
    choice, flip = objects._steps(found)
    assert kinds([choice, flip]) == ["RandomChoice", "RandomFlip"]
    first, second = (way.transforms for way in choice.transforms)
    assert kinds(first) == ["RandomChoiceResize"]
    assert kinds(second) == ["RandomChoiceResize", "RandomCrop", "RandomChoiceResize"]
    assert first[0].scales == second[2].scales == [(side, 1333) for side in range(480, 801, 32)]
    assert second[0].scales == [(400, 1333), (500, 1333), (600, 1333)]
    assert (second[1].crop_size, second[1].crop_type) == ((384, 600), "absolute_range")


def kinds(steps):
    return [type(step).__name__ for step in steps]
