"""DINOv2's arrays: one row per image in the order of torchvision's ImageFolder, for subsets and the test split too."""

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from mettle.data import dinov2

NAMES = {"n01440764": "tench", "n02012849": "crane", "n03126707": "crane"}
FILES = {
    "train": ["n02012849/n02012849_12.JPEG", "n02012849/n02012849_3.JPEG", "n01440764/n01440764_10026.JPEG"],
    "val": ["n01440764/ILSVRC2012_val_00000293.JPEG", "n02012849/ILSVRC2012_val_00000007.JPEG"],
    "test": ["ILSVRC2012_test_00000002.JPEG", "ILSVRC2012_test_00000001.JPEG"],
}


@pytest.fixture
def tree(tmp_path):
    for split, names in FILES.items():
        for name in names:
            path = tmp_path / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


def entries(tree, split, names=NAMES):
    assert dinov2.write(tree, split, names, tree / "extra") == len(FILES[split])
    return np.load(tree / "extra" / f"entries-{split.upper()}.npy")


def test_rows_are_those_of_an_image_folder(tree):
    found = entries(tree, "train")
    peer = ImageFolder(tree / "train")
    assert [peer.imgs[k][1] for k in range(3)] == found["class_index"].tolist() == [0, 1, 1]
    assert found["actual_index"].tolist() == [10026, 12, 3]
    assert found["class_id"].tolist() == ["n01440764", "n02012849", "n02012849"]
    assert found["class_name"].tolist() == ["tench", "crane", "crane"]
    assert found.dtype == [("actual_index", "<u4"), ("class_index", "<u4"), ("class_id", "<U9"), ("class_name", "<U5")]


def test_paths_can_be_made_from_the_rows(tree):
    for row, (path, _) in zip(entries(tree, "val"), ImageFolder(tree / "val").imgs, strict=True):
        name = f"{row['class_id']}/ILSVRC2012_val_{row['actual_index']:08d}.JPEG"
        assert path == str(tree / "val" / name)


def test_ids_and_names_of_the_classes(tree):
    entries(tree, "val", {"n01440764": "tench"})
    assert np.load(tree / "extra" / "class-ids-VAL.npy").tolist() == ["n01440764", "n02012849"]
    assert np.load(tree / "extra" / "class-names-VAL.npy").tolist() == ["tench", "n02012849"]


def test_test_images_have_no_class(tree):
    found = entries(tree, "test")
    assert found["actual_index"].tolist() == [1, 2]
    assert found["class_index"].tolist() == [2**32 - 1] * 2
    assert found["class_id"].tolist() == found["class_name"].tolist() == ["", ""]
    assert not (tree / "extra" / "class-ids-TEST.npy").exists()


@pytest.mark.parametrize(
    ("split", "name", "example"),
    [
        ("train", "n01440764/n01440764_1.jpg", "n01440764_1.JPEG"),
        ("train", "n01440764/n02012849_1.JPEG", "n01440764_1.JPEG"),
        ("val", "n01440764/ILSVRC2012_val_293.JPEG", "ILSVRC2012_val_00000001.JPEG"),
        ("test", "a.JPEG", "ILSVRC2012_test_00000001.JPEG"),
    ],
)
def test_an_image_that_would_not_be_found_is_told(tree, split, name, example):
    (tree / split / name).touch()
    with pytest.raises(
        ValueError, match=f"{name}: DINOv2 only finds images that are named like {example} there: rename"
    ):
        dinov2.write(tree, split, NAMES, tree / "extra")


def test_what_holds_no_images_is_told(tree):
    for split in ("val", "test"):
        for path in (tree / split).rglob("*.JPEG"):
            path.unlink()
        with pytest.raises(ValueError, match=f"{split} holds no images: DINOv2 reads <class>/"):
            dinov2.write(tree, split, NAMES, tree / "extra")
    with pytest.raises(
        ValueError, match=r"^split 'validation' is unknown to DINOv2: rename the folder to one of train, val"
    ):
        dinov2.write(tree, "validation", NAMES, tree / "extra")
    assert not (tree / "extra").exists()
