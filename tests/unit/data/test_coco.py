"""COCO: categories with gaps, crowds, images without objects, and every way an annotation can be wrong."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as codec
from pycocotools.coco import COCO

from mettle.data import coco, runs

SQUARE = [[2, 1, 5, 1, 5, 4, 2, 4]]
CROWD = {"size": [6, 8], "counts": [6, 12, 30]}
CONTENT = {
    "images": [
        {"id": 900, "file_name": "000000000900.jpg", "width": 8, "height": 6},
        {"id": 7, "file_name": "000000000007.jpg", "width": 8, "height": 6},
        {"id": 40, "file_name": "000000000040.jpg", "width": 8, "height": 6},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 900,
            "category_id": 90,
            "bbox": [2, 1, 3, 3],
            "area": 9.25,
            "iscrowd": 0,
            "segmentation": SQUARE,
        },
        {
            "id": 5,
            "image_id": 900,
            "category_id": 1,
            "bbox": [1, 0, 2, 6],
            "area": 12,
            "iscrowd": 1,
            "segmentation": CROWD,
        },
        {"id": 3, "image_id": 7, "category_id": 13, "bbox": [0.5, 0.25, 7.01, 5.5]},
    ],
    "categories": [{"id": 13, "name": "stop sign"}, {"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
}


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for number in (7, 40, 900):
        Image.new("RGB", (8, 6), (number % 256, 0, 0)).save(tmp_path / "val2017" / f"{number:012}.jpg")
    put(tmp_path, CONTENT)
    return tmp_path


def put(tree, content):
    (tree / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def items(tree, **more):
    return list(coco.read(tree, "val2017", 3, 0, **more))


def test_images_come_by_id_with_their_objects_and_those_without(tree):
    first, second, third = items(tree)
    assert [item.source for item in (first, second, third)] == [f"val2017/{n:012}.jpg" for n in (7, 40, 900)]
    assert second.targets.objects == []
    (box,) = first.targets.objects
    assert (box.label, box.mask, box.crowd) == (1, None, False)
    assert box.box == (0.5, 0.25, 0.5 + 7.01, 5.75)
    assert box.area == pytest.approx(7.01 * 5.5)
    toothbrush, crowd = third.targets.objects
    assert (toothbrush.label, toothbrush.area, toothbrush.crowd) == (2, 9.25, False)
    assert (crowd.label, crowd.area, crowd.crowd) == (0, 12, True)
    assert coco.names(tree, "val2017") == ["person", "stop sign", "toothbrush"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_masks_are_those_of_pycocotools(tree, capsys):
    peer = COCO(tree / "annotations" / "instances_val2017.json")
    third = items(tree)[2]
    for number, found in zip((1, 5), third.targets.objects, strict=True):
        expected = codec.decode([peer.annToRLE(peer.anns[number])])[..., 0]
        assert np.array_equal(runs.decode(found.mask, (6, 8)), expected)
    assert capsys.readouterr().out  # the peer says how long it took


def test_an_area_that_is_not_given_is_that_of_the_mask(tree):
    annotation = {key: value for key, value in CONTENT["annotations"][0].items() if key != "area"}
    put(tree, CONTENT | {"annotations": [annotation]})
    assert items(tree)[2].targets.objects[0].area == 9


def test_the_two_boxes_of_coco_without_height_are_left_out_and_said(tree):
    flat = {
        "id": 918,
        "image_id": 200365,
        "category_id": 1,
        "bbox": [1, 2, 3, 0.0],
        "area": 0.0,
        "segmentation": SQUARE,
    }
    images = [*CONTENT["images"], CONTENT["images"][0] | {"id": 200365}]
    put(tree, CONTENT | {"images": images, "annotations": [flat]})
    said = []
    assert [item.targets.objects for item in items(tree, say=said.append)] == [[]] * 4
    assert said == ["left out: annotation 918 of image 200365, whose box has no height"]


def changed(place, **change):
    rows = [dict(row) for row in CONTENT["annotations"]]
    rows[place] |= change
    return CONTENT | {"annotations": rows}


FEW = {"size": [6, 8], "counts": [6, 12, 29]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(0, image_id=901), "annotation 1 is of image 901, which is not among the file's images: remove it"),
        (changed(0, category_id=2), "annotation 1 is of category 2, which is not among the file's categories"),
        (changed(1, id=1), "id 1 appears twice in 'annotations'"),
        (CONTENT | {"images": CONTENT["images"][:1] * 2}, "id 900 appears twice in 'images'"),
        (CONTENT | {"categories": CONTENT["categories"][:1] * 3}, "id 13 appears twice in 'categories'"),
        (CONTENT | {"categories": CONTENT["categories"][:2]}, "holds 2 classes, but `classes` says 3"),
        (
            changed(0, segmentation=[[1, 1, 2, 2]]),
            "annotation 1: a polygon of its segmentation has 4 numbers, but three",
        ),
        (
            changed(1, segmentation=CROWD | {"size": [8, 6]}),
            "annotation 5: its mask is of 6x8 pixels, but its image has",
        ),
        (changed(1, segmentation=FEW), "annotation 5: its run lengths count 47 pixels, but its image has 48"),
        (changed(0, bbox=[2, 1, 0, 3]), "annotation 1: its box from (2, 1) to (2, 4) has no area: remove the object"),
        (changed(0, bbox=[2, 1, 9, 3]), "annotation 1: its box from (2, 1) to (11, 4) leaves its image of 8x6 pixels"),
        (changed(0, area=0), "annotation 1: its area is 0: remove the object, or correct its mask"),
        ({"images": []}, "has no list 'annotations': annotations of objects in COCO's format have one"),
        ([], "has no list 'images': annotations of objects in COCO's format have one"),
    ],
)
def test_what_is_wrong_names_file_and_annotation(tree, content, message):
    put(tree, content)
    with pytest.raises(ValueError) as caught:
        items(tree)
    path = tree / "annotations" / "instances_val2017.json"
    assert str(caught.value).removeprefix(str(path)).lstrip(": ").startswith(message)
    assert str(path) in str(caught.value)


def test_an_image_of_another_size_is_told(tree):
    Image.new("RGB", (6, 8)).save(tree / "val2017" / "000000000040.jpg")
    with pytest.raises(
        ValueError, match=r"000000000040\.jpg has 6x8 pixels, but the objects in .* are for 8x6: take the"
    ):
        items(tree)


def test_a_missing_image_is_told(tree):
    (tree / "val2017" / "000000000040.jpg").unlink()
    with pytest.raises(ValueError, match=r"000000000040\.jpg cannot be read as an image"):
        items(tree)


def test_an_image_elsewhere_is_refused(tree):
    put(tree, CONTENT | {"images": [CONTENT["images"][0] | {"file_name": "../../secret.jpg"}], "annotations": []})
    with pytest.raises(ValueError, match=r"image 900: '\.\./\.\./secret\.jpg' does not lie in .*val2017$"):
        items(tree)


def test_missing_or_damaged_annotations_are_told(tree):
    with pytest.raises(ValueError, match=r"instances_train2017\.json is missing: it holds the objects of the split's"):
        coco.read(tree, "train2017", 3, 0)
    path = tree / "annotations" / "instances_val2017.json"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"instances_val2017\.json is not JSON: "):
        items(tree)
