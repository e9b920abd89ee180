"""Targets: every kind comes back as it was written, and what does not fit its image or its data set is told."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mettle.data import masks, targets
from mettle.data.item import Object, Targets
from mettle.data.targets import Expected

SIZE = (6, 8)  # height, width
EVERYTHING = Expected(("label_map", "depth", "objects"), classes=3, map_classes=4, ignore=255)
LABELS = np.array([[0, 1, 2, 3, 255, 0, 0, 0]] * 6, np.uint8)
DEPTH = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300
MASK = np.zeros(SIZE, bool)
MASK[1:4, 2:5] = True
BOX = Object(2, (2, 1, 5, 4), 9.5)
OUTLINED = replace(BOX, mask=masks.encode(MASK), crowd=True)
FULL = Targets(LABELS, DEPTH, objects=[BOX, OUTLINED])


def test_every_kind_comes_back():
    made = targets.encode(FULL, SIZE)
    assert list(made) == ["label_map", "depth", "objects"]
    assert np.array_equal(targets.decode_label_map(made["label_map"]), LABELS)
    depth = targets.decode_depth(made["depth"], 0.001)
    assert depth.dtype == np.float32
    assert np.array_equal(depth, (DEPTH * 0.001).astype(np.float32))
    assert targets.decode_objects(made["objects"]) == [BOX, OUTLINED]
    assert json.loads(made["objects"])["size"] == [6, 8]


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_label_maps_of_8_and_16_bits_come_back(dtype, highest):
    labels = np.array([[0, 1, highest]], dtype)
    found = targets.decode_label_map(targets.encode(Targets(labels), (1, 3))["label_map"])
    assert found.dtype == dtype
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("kind", ["label_map", "depth", "objects"])
def test_an_image_may_have_one_kind_only(kind):
    one = Targets(**{kind: getattr(FULL, kind)})
    assert targets.kinds_of(one) == (kind,)
    assert list(targets.encode(one, SIZE)) == [kind]


def test_no_objects_are_targets_and_none_are_not():
    assert targets.kinds_of(Targets(objects=[])) == ("objects",)
    assert targets.decode_objects(targets.encode(Targets(objects=[]), SIZE)["objects"]) == []
    assert targets.kinds_of(Targets()) == targets.kinds_of(None) == ()


def test_kinds_that_are_not_wanted_are_left_out():
    found = targets.only(FULL, ["depth"])
    assert targets.kinds_of(found) == ("depth",)
    assert found.depth is DEPTH
    assert targets.only(None, ["depth"]) is None


def test_masks_of_objects_and_of_boxes():
    found = targets.masks_of([OUTLINED, replace(BOX, box=(0, 0, 8, 1.4))], SIZE)
    assert found.shape == (2, 6, 8)
    assert np.array_equal(found[0], MASK)
    assert found[1].sum() == 8 and found[1][0].all()
    assert targets.masks_of([], SIZE).shape == (0, 6, 8)


def test_distances_become_whole_steps():
    metres = np.array([[0, 1.2344, 9.9996]])
    assert targets.steps(metres).tolist() == [[0, 1234, 10000]]
    assert targets.steps(metres, 1 / 256).tolist() == [[0, 316, 2560]]
    with pytest.raises(ValueError, match=r"^distances of 0 to 70 m do not fit into 65535 x 0.001 m$"):
        targets.steps(np.array([[0, 70.0]]))
    with pytest.raises(ValueError, match=r"^distances of -1 to 0 m do not fit"):
        targets.steps(np.array([[0, -1.0]]))


def test_targets_that_fit_pass():
    targets.check(FULL, EVERYTHING, SIZE, "a.jpg")
    targets.check(None, targets.NONE, SIZE, "a.jpg")
    targets.check(Targets(np.full(SIZE, 9, np.uint8)), Expected(("label_map",)), SIZE, "a.jpg")
    rounded = replace(BOX, box=(-0.5, 0, 8.4, 6.3))
    targets.check(Targets(objects=[rounded]), Expected(("objects",)), SIZE, "a.jpg")


def wrong(**change):
    return replace(FULL, **change)


def boxed(**change):
    return wrong(objects=[BOX, replace(BOX, **change)])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "has no targets, but its data set has label map, depth, objects"),
        (wrong(depth=None), "has label map, objects, but its data set has label map, depth, objects"),
        (wrong(label_map=LABELS[:5]), "its label map has 8x5 pixels, but the image has 8x6: give the two one size"),
        (wrong(depth=DEPTH.T), "its depth map has 6x8 pixels, but the image has 8x6: give the two one size, or look"),
        (
            wrong(label_map=LABELS + (LABELS == 3)),
            "label 4 of its label map, at row 0, column 3, is out of range",
        ),
        (wrong(depth=0 * DEPTH), "its depth map is 0 everywhere, so no pixel has a distance: leave the image out"),
        (boxed(label=3), "object 1: label 3 is out of range 0..2"),
        (boxed(label=-1), "object 1: label -1 is out of range 0..2"),
        (boxed(box=(2, 1, 2, 4)), "object 1: its box from (2, 1) to (2, 4) has no area: remove the object, or correct"),
        (boxed(box=(2, 4, 5, 1)), "object 1: its box from (2, 4) to (5, 1) has no area"),
        (boxed(box=(2, 1, 9.5, 4)), "object 1: its box from (2, 1) to (9.5, 4) leaves its image of 8x6 pixels: are"),
        (boxed(box=(-2, 1, 5, 4)), "object 1: its box from (-2, 1) to (5, 4) leaves its image of 8x6 pixels"),
        (boxed(box=(float("nan"), 1, 5, 4)), "object 1: its box from (nan, 1) to (5, 4) has no area"),
        (boxed(area=0), "object 1: its area is 0: remove the object, or correct its mask"),
    ],
)
def test_what_does_not_fit_names_its_image(made, message):
    with pytest.raises(ValueError) as caught:
        targets.check(made, EVERYTHING, SIZE, "a.jpg")
    assert str(caught.value).startswith(f"a.jpg: {message}")


def test_a_depth_map_without_a_distance_in_range_names_it():
    far = replace(EVERYTHING, depth_range=(0.001, 5.0))
    targets.check(FULL, far, SIZE, "a.jpg")
    made = wrong(depth=np.where(DEPTH, 6000, 0).astype(np.uint16))
    message = r"^a.jpg: its depth map has distances from 6 to 6 m, none of them from 0.001 to 5: leave the image"
    with pytest.raises(ValueError, match=message):
        targets.check(made, far, SIZE, "a.jpg")
    targets.check(made, replace(far, depth_range=(0.001, 6.0)), SIZE, "a.jpg")


def test_a_label_out_of_range_says_where_to_look():
    with pytest.raises(ValueError, match=r"classes in config/datasets.tsv, or name the value of ignored pixels in"):
        targets.check(FULL, replace(EVERYTHING, ignore=None), SIZE, "a.jpg")


def test_a_number_that_is_none_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        targets.encode(boxed(area=float("nan")), SIZE)
