"""ADE20K: labels 1 to 150 become 0 to 149, 0 is ignored, and what has no partner is told."""

import numpy as np
import pytest
from PIL import Image

from mettle.data import ade20k

SIZES = {"ADE_val_00000001": (5, 7), "ADE_val_00000002": (6, 4)}


@pytest.fixture
def tree(tmp_path):
    rng = np.random.default_rng(0)
    for kind, ending in (("images", "jpg"), ("annotations", "png")):
        folder = tmp_path / kind / "validation"
        folder.mkdir(parents=True)
        for name, size in SIZES.items():
            shape = (*size, 3) if kind == "images" else size
            Image.fromarray(rng.integers(0, 151, shape, np.uint8)).save(folder / f"{name}.{ending}")
    return tmp_path


def annotation(tree, name):
    return tree / "annotations" / "validation" / f"{name}.png"


def test_labels_are_one_less_and_zero_is_ignored(tree):
    for item, (name, size) in zip(ade20k.read(tree, "validation", 150, 0), SIZES.items(), strict=True):
        raw = np.asarray(Image.open(annotation(tree, name))).astype(int)
        found = item.targets.label_map
        assert found.shape == size and found.dtype == np.uint8
        assert np.array_equal(found == 255, raw == 0)
        assert np.array_equal(found[raw > 0], raw[raw > 0] - 1)
        assert item.data == (tree / "images" / "validation" / f"{name}.jpg").read_bytes()
        assert (item.source, item.label) == (f"images/validation/{name}.jpg", None)


def test_another_number_of_classes_is_refused(tree):
    with pytest.raises(ValueError, match=r"^ADE20K has 150 classes, but `classes` says 151$"):
        ade20k.read(tree, "validation", 151, 0)


def test_a_label_out_of_range_names_the_annotation(tree):
    path = annotation(tree, "ADE_val_00000002")
    Image.fromarray(np.full((6, 4), 151, np.uint8)).save(path)
    with pytest.raises(ValueError, match=f"^{path} holds label 151, but those of ADE20K are 0 to 150$"):
        list(ade20k.read(tree, "validation", 150, 0))


def test_an_annotation_without_its_image_is_told(tree):
    (tree / "images" / "validation" / "ADE_val_00000002.jpg").unlink()
    with pytest.raises(ValueError, match=r"ADE_val_00000002\.png has no partner: .*images/validation holds no"):
        ade20k.read(tree, "validation", 150, 0)


def test_names_are_those_of_the_archive(tree):
    assert ade20k.names(tree, "validation") == []
    lines = [
        "Idx\tRatio\tTrain\tVal\tStuff\tName",
        "1\t0.1576\t11664\t1172\t1\twall",
        "2\t0.1\t1\t1\t1\tbuilding, edifice",
    ]
    (tree / "objectInfo150.txt").write_text("\n".join(lines) + "\n")
    assert ade20k.names(tree, "validation") == ["wall", "building"]
