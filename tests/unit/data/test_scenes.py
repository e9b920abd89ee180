"""Scenes: the same from the same seed, splits that share nothing, and objects that agree with each other."""

import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from mettle.data import collage, digits, scenes
from mettle.data.scenes import Difficulty, scene


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def first(split, n, seed=0):
    return list(islice(scenes.read(None, split, 10, seed), n))


@pytest.fixture(scope="module")
def some():
    return [*first("train", 150), *first("test", 150)]


def test_the_same_seed_gives_the_same_bytes_in_any_order():
    again = {index: scene(3, "test", index) for index in (17, 4, 11)}
    items = first("test", 18, seed=3)
    assert all(items[index] == item for index, item in again.items())


def test_seeds_splits_and_indices_differ():
    made = [scene(0, "train", 0), scene(1, "train", 0), scene(0, "test", 0), scene(0, "train", 10)]
    assert len({item.data for item in made}) == 4


def test_counts_and_balance():
    assert scenes.COUNTS == {"train": 4000, "test": 1000}
    for split in digits.SPLITS:
        labels = [item.label for item in first(split, 100)]
        assert np.bincount(labels).tolist() == [10] * 10


def test_all_test_scenes_come():
    assert len({item.data for item in scenes.read(None, "test", 10, 0)}) == 1000


def test_images_are_rgb_of_the_stated_size(some):
    for item in some[:20]:
        image = Image.open(io.BytesIO(item.data))
        assert (image.mode, image.size, image.format) == ("RGB", (32, 32), "PNG")
        assert item.class_name == str(item.label)
    assert pixels(scene(0, "train", 0, Difficulty(size=64)).data).shape == (64, 64, 3)


def test_splits_share_no_digit(monkeypatch):
    used, glyph = set(), digits.glyph
    monkeypatch.setattr(digits, "glyph", lambda index, size: used.add(index) or glyph(index, size))
    for split in digits.SPLITS:
        used.clear()
        first(split, 300)
        assert used and used <= set(digits.indices(split).tolist())


def test_splits_share_no_part_of_a_photograph(monkeypatch):
    photo = np.zeros((200, 640, 3), np.uint8)
    photo[:, int(640 * collage._TRAIN_SHARE) :] = 255
    monkeypatch.setattr(collage, "photographs", lambda: [Image.fromarray(photo)])
    bare = Difficulty(opacity=(0, 0), distractor_opacity=(0, 0), brightness=(1, 1))
    for index in range(200):
        assert pixels(scene(0, "train", index, bare).data).max() == 0
        assert pixels(scene(0, "test", index, bare).data).min() == 255


def test_boxes_masks_and_depth_agree(some):
    for item in some:
        taken = np.zeros((32, 32), int)
        for depth, seen in enumerate(item.objects):
            mask = pixels(seen["mask"])
            assert mask.dtype == bool and mask.shape == (32, 32)
            assert seen["depth"] == depth
            ys, xs = np.nonzero(mask)
            assert (seen["x0"], seen["x1"]) == (xs.min(), xs.max() + 1)
            assert (seen["y0"], seen["y1"]) == (ys.min(), ys.max() + 1)
            taken += mask
        assert taken.max() == 1  # a pixel shows one object


def test_the_class_is_that_of_exactly_one_object_and_of_the_largest(some):
    for item in some:
        heights = {seen["label"]: seen["y1"] - seen["y0"] for seen in item.objects if seen["label"] != item.label}
        (main,) = [seen for seen in item.objects if seen["label"] == item.label]
        assert main["y1"] - main["y0"] >= max(heights.values(), default=0)


def test_the_nearest_digit_is_painted_last():
    bold = Difficulty(brightness=(0, 0), tint=(1, 1), opacity=(1, 1), distractor_opacity=(0.4, 0.4), hidden=1)
    covered = 0
    for index in range(60):
        item = scene(0, "train", index, bold)
        for seen in item.objects:
            if seen["label"] != item.label and seen["depth"] == 0:
                shown = pixels(item.data)[pixels(seen["mask"])]
                covered += (shown < 255).any()
    assert covered > 20


def test_some_distractors_stand_in_front_and_some_behind(some):
    depths = [seen["depth"] for item in some for seen in item.objects if seen["label"] == item.label]
    assert 0 < np.mean(np.array(depths) > 0) < 1


def test_little_of_the_digit_is_hidden():
    one, none = Difficulty(distractors=(1, 1)), Difficulty(distractors=(0, 0))
    for index in range(100):
        seen = [o for o in scene(0, "train", index, one).objects if o["label"] == index % 10]
        (whole,) = scene(0, "train", index, none).objects
        mask, full = pixels(seen[0]["mask"]), pixels(whole["mask"])
        assert not (mask & ~full).any()
        assert mask.sum() >= (1 - one.hidden) * full.sum()


def test_darker_photographs_and_no_distractors_follow_the_knobs():
    plain = scene(0, "train", 5, Difficulty(brightness=(0, 0), distractors=(0, 0), tint=(1, 1), opacity=(1, 1)))
    array = pixels(plain.data)
    assert len(plain.objects) == 1
    assert np.array_equal(array[..., 0] >= 128, pixels(plain.objects[0]["mask"]))


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="'scenes' holds 10 classes, but `classes` says 100"):
        scenes.read(None, "test", 100, 0)
