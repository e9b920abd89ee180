"""Layouts of other projects: DINOv2's arrays for the splits of a row, NYU Depth v2 copied out of its archive."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mettle.stages import layouts

ROW = {"dataset": "small", "train": "train", "test": "val", "source": ""}


@pytest.fixture
def imagenet(tmp_path):
    names = ["train/n01440764/n01440764_1.JPEG", "val/n01440764/ILSVRC2012_val_00000293.JPEG"]
    for name in [*names, "test/ILSVRC2012_test_00000001.JPEG"]:
        (tmp_path / "raw" / name).parent.mkdir(parents=True)
        (tmp_path / "raw" / name).touch()
    (tmp_path / "raw" / "labels.txt").write_text("n01440764,tench\nn02012849,crane")
    return ROW | {"source": str(tmp_path / "raw")}


def test_dinov2_gets_all_splits_with_the_names_of_its_labels(imagenet, tmp_path):
    said = []
    layouts.dinov2_arrays(imagenet, tmp_path / "extra", said.append)
    assert said == ["train: 1 images", "val: 1 images", "test: 1 images"]
    assert np.load(tmp_path / "extra" / "entries-TRAIN.npy")["class_name"].tolist() == ["tench"]
    files = sorted(path.name for path in (tmp_path / "extra").iterdir())
    kinds = [f"{kind}-{split}.npy" for kind in ("class-ids", "class-names") for split in ("TRAIN", "VAL")]
    assert files == [*kinds, "entries-TEST.npy", "entries-TRAIN.npy", "entries-VAL.npy"]


def test_dinov2_cannot_be_restricted_by_a_list(imagenet, tmp_path):
    with pytest.raises(ValueError, match=r"^row 'small' in config/datasets.tsv is restricted by `subset`, which"):
        layouts.dinov2_arrays(imagenet | {"subset": "list.txt"}, tmp_path / "extra")
    assert not (tmp_path / "extra").exists()


def test_mmsegmentation_gets_copies_of_what_an_archive_holds(tmp_path):
    folder = tmp_path / "raw" / "nyu" / "den_0001"
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(folder / "rgb_00001.jpg")
    Image.fromarray(np.full((3, 4), 7, np.uint16)).save(folder / "sync_depth_00001.png")
    (folder.parent / "nyu_test.txt").write_text(
        "den_0001/rgb_00001.jpg den_0001/sync_depth_00001.png 1\nden_0001/b None 1\n"
    )
    archive = shutil.make_archive(str(tmp_path / "nyu"), "zip", tmp_path / "raw")
    said = []
    row = {"dataset": "nyu", "train": "", "test": "test", "source": f"{archive}#nyu"}
    layouts.mmseg_folders(row, tmp_path / "made", said.append)
    assert said[-1] == "1 images with their depth maps" and said[0].startswith("1 of 2 lines")
    made = sorted(path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*.*"))
    assert made == ["annotations/test/den_0001_00001.png", "images/test/den_0001_00001.jpg"]
