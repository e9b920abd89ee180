"""Images with their labels in their names: read in the order of their numbers, and a sentence for what is wrong."""

import numpy as np
import pytest
from PIL import Image

from mettle.data import numbered


def put(folder, *names):
    for place, name in enumerate(names):
        Image.fromarray(np.full((4, 6, 3), place, np.uint8)).save(folder / name)


def test_images_of_a_split_come_in_the_order_of_their_numbers(tmp_path):
    put(tmp_path, "photos_10_2.png", "photos_2_0.png", "photos_03_1.jpg", "others_00_1.png", "photos.png")
    found = list(numbered.read(tmp_path, "photos", 3, 0))
    assert [(item.source, item.label, item.class_name) for item in found] == [
        ("photos_2_0.png", 0, "0"),
        ("photos_03_1.jpg", 1, "1"),
        ("photos_10_2.png", 2, "2"),
    ]
    assert found[0].data == (tmp_path / "photos_2_0.png").read_bytes()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r" holds no images photos_NUMBER_LABEL\.png or \.jpg$"),
        (("photos_1_0.png", "photos_01_1.png"), r": photos_01_1\.png and photos_1_0\.png have one number$"),
        (("photos_1_3.png",), r"photos_1_3\.png has label 3, but labels of 3 classes are 0 to 2$"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, names, message):
    put(tmp_path, *names)
    with pytest.raises(ValueError, match=message):
        list(numbered.read(tmp_path, "photos", 3, 0))
    with pytest.raises(ValueError, match=r"is no folder$"):
        list(numbered.read(tmp_path / "none", "photos", 3, 0))


def test_a_damaged_image_is_named(tmp_path):
    (tmp_path / "photos_0_0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"photos_0_0\.png cannot be read as an image"):
        list(numbered.read(tmp_path, "photos", 3, 0))
