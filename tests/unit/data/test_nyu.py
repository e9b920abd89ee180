"""NYU Depth v2: the lists decide, lines without depth are counted, the source is copied and never moved."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mettle.data import depth_folder, nyu
from mettle.data.archives import taken

LINES = """kitchen_0028b/rgb_00045.jpg kitchen_0028b/sync_depth_00045.png 518.8579
/office_0001/rgb_00001.jpg /office_0001/sync_depth_00001.png 518.8579
office_0001/rgb_00002.jpg None 518.8579

"""
NAMES = [("kitchen_0028b", "00045"), ("office_0001", "00001")]


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "raw" / "nyu"
    for place, (scene, number) in enumerate(NAMES):
        (folder / scene).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.full((4, 6, 3), 50 * place, np.uint8))
        image.save(folder / scene / f"rgb_{number}.jpg")
        depth = np.full((4, 6), 1000 + 9000 * place, np.uint16)
        Image.fromarray(depth).save(folder / scene / f"sync_depth_{number}.png")
    (folder / "nyu_test.txt").write_text(LINES)
    return folder


def test_depth_is_in_millimetres_and_lines_without_it_are_counted(tree):
    said = []
    items = list(nyu.read(tree, "test", None, 0, say=said.append))
    assert [item.source for item in items] == ["kitchen_0028b/rgb_00045.jpg", "office_0001/rgb_00001.jpg"]
    assert [int(item.targets.depth[0, 0]) * item.targets.depth_unit for item in items] == [1.0, 10.0]
    assert said == ["1 of 3 lines of nyu_test.txt name no depth map and are left out"]


def test_the_archive_is_read_where_it_lies(tree, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "nyu"), "zip", tree.parent)
    with taken(tmp_path / "nyu.zip", "nyu") as folder:
        assert len(list(nyu.read(folder, "test", None, 0))) == 2
    assert archive


def test_copies_lie_where_mmsegmentation_looks_and_read_the_same(tree, tmp_path):
    before = sorted(tree.rglob("*"))
    assert nyu.arrange(tree, ["test"], tmp_path / "made") == 2
    assert sorted(tree.rglob("*")) == before
    made = sorted(path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*.*"))
    names = ["_".join(name) for name in NAMES]
    assert made == [f"annotations/test/{name}.png" for name in names] + [f"images/test/{name}.jpg" for name in names]
    there = list(nyu.read(tree, "test", None, 0))
    for one, other in zip(there, depth_folder.read(tmp_path / "made", "test", None, 0), strict=True):
        assert one.data == other.data
        assert np.array_equal(one.targets.depth, other.targets.depth)


def test_another_unit(tree, tmp_path):
    nyu.arrange(tree, ["test"], tmp_path / "made")
    (item, _) = depth_folder.read(tmp_path / "made", "test", None, 0, unit=1 / 256)
    assert item.targets.depth_unit == 1 / 256


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.jpg\n", "nyu_test.txt, line 1: has one cell, 'a.jpg', but needs the paths of an image and of a depth map"),
        ("a/1 b 1\n\na/1 c 1\n", "nyu_test.txt, line 3: names a/1, as line 1 does: remove one of them"),
        ("../a.jpg b.png 1\n", "nyu_test.txt, line 1: '../a.jpg' does not lie in "),
    ],
)
def test_a_line_that_cannot_be_is_told(tree, lines, message):
    (tree / "nyu_test.txt").write_text(lines)
    with pytest.raises(ValueError) as caught:
        nyu.read(tree, "test", None, 0)
    assert str(caught.value).removeprefix(f"{tree}/").startswith(message)


def test_a_missing_list_is_told(tree):
    with pytest.raises(
        ValueError, match=r"nyu_train\.txt is missing: it lists the images and depth maps of the split$"
    ):
        nyu.read(tree, "train", None, 0)


def test_a_listed_file_that_is_not_there_is_told(tree, tmp_path):
    (tree / "office_0001" / "sync_depth_00001.png").unlink()
    with pytest.raises(ValueError, match=r"sync_depth_00001\.png cannot be read as an image"):
        list(nyu.read(tree, "test", None, 0))
    with pytest.raises(ValueError, match=r"sync_depth_00001\.png is listed, but missing$"):
        nyu.arrange(tree, ["test"], tmp_path / "made")


def test_two_files_of_one_name_are_not_copied_over_each_other(tree, tmp_path):
    (tree / "nyu_test.txt").write_text("a/b.jpg a/b.png 1\na_b.jpg a_b.png 1\n")
    for name in ("a/b.jpg", "a/b.png", "a_b.jpg"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    with pytest.raises(ValueError, match=r"a_b\.jpg would be copied to .*images/test/a_b\.jpg, where another file is"):
        nyu.arrange(tree, ["test"], tmp_path / "made")
