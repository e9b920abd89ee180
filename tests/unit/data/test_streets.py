"""Streets: the same from the same seed, splits that share nothing, and targets of four tasks that agree."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mettle.data import collage, digits, runs, streets
from mettle.data.streets import BACKGROUND, Difficulty, edge_at, street

SIZE = (96, 96)
BARE = Difficulty(opacity=(0, 0), brightness=(1, 1))


def pixels(item):
    return np.asarray(Image.open(io.BytesIO(item.data)))


@pytest.fixture(scope="module")
def some():
    return [street(0, split, index) for split in digits.SPLITS for index in range(60)]


def test_the_same_seed_gives_the_same_street_in_any_order():
    for index in (17, 4):
        one, other = street(3, "test", index), street(3, "test", index)
        assert one.data == other.data
        assert np.array_equal(one.targets.depth, other.targets.depth)
        assert one.targets.objects == other.targets.objects


def test_seeds_splits_and_indices_differ():
    made = [street(0, "train", 0), street(1, "train", 0), street(0, "test", 0), street(0, "train", 10)]
    assert len({item.data for item in made}) == 4


def test_counts_and_balance(some, monkeypatch):
    assert np.bincount([item.label for item in some]).tolist() == [12] * 10
    monkeypatch.setattr(streets, "street", lambda seed, split, index: (seed, split, index))
    assert list(streets.read(None, "test", 10, 5)) == [(5, "test", index) for index in range(300)]
    assert len(list(streets.read(None, "train", 10, 5))) == 2000


def test_images_are_rgb_of_the_stated_size(some):
    image = Image.open(io.BytesIO(some[0].data))
    assert (image.mode, image.size, image.format) == ("RGB", SIZE, "PNG")
    assert pixels(street(0, "train", 0, Difficulty(size=64))).shape == (64, 64, 3)


def test_splits_share_no_digit(monkeypatch):
    used, glyph = set(), digits.glyph
    monkeypatch.setattr(digits, "glyph", lambda index, size: used.add(index) or glyph(index, size))
    for split in digits.SPLITS:
        used.clear()
        for index in range(60):
            street(0, split, index)
        assert used and used <= set(digits.indices(split).tolist())


def test_splits_share_no_part_of_a_photograph(monkeypatch):
    photo = np.zeros((427, 640, 3), np.uint8)
    photo[:, int(640 * collage._TRAIN_SHARE) :] = 255
    monkeypatch.setattr(collage, "photographs", lambda: [Image.fromarray(photo)])
    for index in range(60):
        assert pixels(street(0, "train", index, BARE)).max() == 0
        assert pixels(street(0, "test", index, BARE)).min() == 255


def test_sizes_fall_with_distance_by_equal_factors():
    d = Difficulty()
    assert [edge_at(metres, d) for metres in (1, 9)] == [56, 14]
    assert edge_at(5, d) == 28  # half way, half the size
    edges = [edge_at(metres, d) for metres in np.linspace(1, 9, 50)]
    assert edges == sorted(edges, reverse=True)


def test_label_map_and_depth_agree(some):
    for item in some:
        labels, depth = item.targets.label_map, item.targets.depth
        assert labels.shape == depth.shape == SIZE
        assert set(np.unique(labels)) <= {*range(10), BACKGROUND}
        assert np.array_equal(labels == BACKGROUND, depth == 10_000)
        digit = depth[labels != BACKGROUND]
        assert digit.min() >= 1000 and digit.max() <= 9000
        for millimetres in np.unique(digit):
            assert len(np.unique(labels[depth == millimetres])) == 1


def test_the_label_is_the_class_of_the_nearest_digit(some):
    for item in some:
        nearest = item.targets.label_map[item.targets.depth == item.targets.depth.min()]
        assert set(nearest) == {item.label}
        assert item.targets.objects[0].label == item.label
        assert item.class_name == str(item.label)


def test_objects_are_the_visible_parts_of_digits(some):
    for item in some:
        labels, depth, seen = item.targets.label_map, item.targets.depth, np.zeros(SIZE, int)
        distances = []
        for found in item.targets.objects:
            mask = runs.decode(found.mask, SIZE)
            seen += mask
            assert found.area == mask.sum() >= 8
            assert set(labels[mask]) == {found.label}
            assert len(np.unique(depth[mask])) == 1
            distances.append(depth[mask][0])
            ys, xs = np.nonzero(mask)
            assert found.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert not found.crowd
        assert seen.max() == 1
        assert distances == sorted(distances)
        left = depth[(seen == 0) & (labels != BACKGROUND)]
        assert np.unique(left, return_counts=True)[1].max(initial=0) < 8  # too few pixels for an object


def test_a_digit_of_few_visible_pixels_stays_in_the_maps():
    strict = Difficulty(visible=200)
    for index in range(30):
        plain, fewer = street(0, "train", index), street(0, "train", index, strict)
        assert np.array_equal(plain.targets.label_map, fewer.targets.label_map)
        assert fewer.targets.objects == [one for one in plain.targets.objects if one.area >= 200]


def test_two_to_five_digits(some):
    distances = [np.unique(item.targets.depth[item.targets.label_map != BACKGROUND]) for item in some]
    assert {len(one) for one in distances} >= {2, 3, 4, 5}
    assert max(len(one) for one in distances) == 5


def test_at_most_a_sixth_of_a_digit_lies_outside(monkeypatch):
    shares, draw = [], collage.draw_ink

    def noting(rng, digit, edge, size, margin):
        shares.append(margin / edge)
        return draw(rng, digit, edge, size, margin)

    monkeypatch.setattr(collage, "draw_ink", noting)
    for index in range(20):
        street(0, "train", index)
    assert 0 < max(shares) <= 1 / 6


def test_the_nearest_digit_is_painted_last():
    bold = Difficulty(brightness=(0, 0), tint=(1, 1), opacity=(1, 1))
    faint = replace(bold, opacity=(0, 0))
    for index in range(20):
        item = street(0, "train", index, bold)
        assert pixels(item)[item.targets.label_map != BACKGROUND].min() >= 128
        assert pixels(street(0, "train", index, faint)).max() == 0


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="'streets' holds 10 classes, but `classes` says 11"):
        streets.read(None, "test", 11, 0)
