"""Folders as those of Pascal VOC: the list decides which images there are and in which order."""

import numpy as np
import pytest
from PIL import Image

from mettle.data import pascal


@pytest.fixture
def tree(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(0, 255, (5, 6, 3), np.uint8)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        labels = Image.fromarray(np.array([[0, 1, 20, 255, 3, 4]] * 5, np.uint8), "P")
        labels.putpalette(list(range(256)) * 3)
        labels.save(tmp_path / "SegmentationClass" / f"{name}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("c\na\n")
    return tmp_path


def test_images_come_in_the_order_of_the_list_with_the_numbers_of_their_palette(tree):
    items = list(pascal.read(tree, "val", 21, 0))
    assert [item.source for item in items] == ["JPEGImages/c.jpg", "JPEGImages/a.jpg"]
    for item in items:
        assert item.targets.label_map.tolist() == [[0, 1, 20, 255, 3, 4]] * 5
        assert item.label is None


def test_a_missing_list_is_told(tree):
    with pytest.raises(ValueError, match=r"the list .*ImageSets/Segmentation/train\.txt does not exist"):
        pascal.read(tree, "train", 21, 0)


@pytest.mark.parametrize(
    ("change", "count"), [(lambda f: (f / "a.jpg").unlink(), 0), (lambda f: (f / "a.png").touch(), 2)]
)
def test_a_name_needs_one_image(tree, change, count):
    change(tree / "JPEGImages")
    with pytest.raises(ValueError, match=rf"val\.txt lists 'a', but .*JPEGImages holds {count} images of that name$"):
        pascal.read(tree, "val", 21, 0)


def test_a_name_needs_a_label_map(tree):
    (tree / "SegmentationClass" / "c.png").unlink()
    with pytest.raises(ValueError, match=r"val\.txt lists 'c', but there is no .*SegmentationClass/c\.png$"):
        pascal.read(tree, "val", 21, 0)
