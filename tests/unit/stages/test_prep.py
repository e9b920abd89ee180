"""The prep stage: a row of the sheet becomes a store, or one sentence says what is wrong and nothing is left."""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import numpy as np
import pytest
from PIL import Image

from imports import SCRIPTS
from mettle import tables
from mettle.data import Store, TargetStore
from mettle.data.readers import READERS
from mettle.stages import prep

HOME = "download it from https://example.org"


def row(name, source="", classes=10, **more):
    return {"dataset": f"my_{name}", "reader": name, "source": str(source), "classes": classes, "home": HOME} | more


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "results"
    return folder / "test.lmdb", folder / "test.parquet"


def left(paths):
    return sorted(path.name for path in paths[0].parent.iterdir()) if paths[0].parent.exists() else []


def test_a_source_that_is_a_result_is_read_where_its_copy_lies():
    copy = "somewhere/bucket/results/tfds/digits"
    told = row("tfds/digits", "results/tfds/digits")
    assert prep.placed(told, ["lists/names.txt", copy]) == told | {"source": copy}
    assert prep.placed(told, ["lists/names.txt", "results/tfds/digits"]) == told
    assert prep.placed(row("digits"), []) == row("digits")


@pytest.fixture
def tree(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "raw" / "test" / name).mkdir(parents=True)
        Image.new("RGB", (9, 7), "red").save(tmp_path / "raw" / "test" / name / "1.jpg")
    return tmp_path / "raw"


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    rng = np.random.default_rng(0)
    names = [f"class{k}" for k in range(10)]
    batch = b"".join(bytes([k]) + rng.bytes(3072) for k in range(10))
    with tarfile.open(path, "w:gz") as opened:
        for name, content in {"batches.meta.txt": "\n".join(names).encode(), "test_batch.bin": batch}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return path


def test_digits(paths):
    assert prep.prepare(row("digits"), "test", *paths) == 500
    store = Store(paths[0])
    assert store.arrays().shape == (500, 32, 32, 3)
    assert store.class_names == list("0123456789")
    assert left(paths) == ["test.lmdb", "test.parquet"]


def test_scenes_keep_their_objects_and_follow_the_seed(paths, tmp_path):
    assert prep.prepare(row("scenes"), "test", *paths, seed=1) == 1000
    frame = tables.read(paths[1], tables.MANIFEST)
    for label, objects in zip(frame["label"], frame["objects"], strict=True):
        assert label in [seen["label"] for seen in objects]
    assert set(frame.objects[0][0]) == {"label", "x0", "y0", "x1", "y1", "depth", "mask"}
    other = tmp_path / "other.lmdb", tmp_path / "other.parquet"
    prep.prepare(row("scenes"), "test", *other, seed=2)
    assert Store(other[0]).digest != Store(paths[0]).digest
    prep.prepare(row("scenes"), "test", *other, seed=1)
    assert Store(other[0]).digest == Store(paths[0]).digest


def test_folder(paths, tree):
    assert prep.prepare(row("folder", tree, 2), "test", *paths) == 2
    assert Store(paths[0]).class_names == ["cat", "dog"]


def test_cifar(paths, archive):
    assert prep.prepare(row("cifar10_binary", archive), "test", *paths) == 10
    assert Store(paths[0]).labels.tolist() == list(range(10))


def test_provenance_and_progress_reach_the_store(paths):
    seen = []
    prep.prepare(
        row("digits"),
        "test",
        *paths,
        provenance={"rule": "prep"},
        progress=lambda items: (seen.append(item.source) or item for item in items),
    )
    assert len(seen) == 500
    assert tables.read(paths[1], tables.MANIFEST).attrs["provenance"] == [{"rule": "prep"}]


def test_a_missing_source_says_what_to_do(paths, tmp_path):
    gone = tmp_path / "nowhere.tar.gz"
    with pytest.raises(FileNotFoundError) as caught:
        prep.prepare(row("cifar10_python", gone), "test", *paths)
    text = str(caught.value)
    assert f"{gone} does not exist" in text
    assert "column `source` of row 'my_cifar10_python' in config/datasets.tsv" in text
    assert HOME in text
    assert "\n" not in text and left(paths) == []


def test_an_empty_source_says_what_to_do(paths):
    with pytest.raises(FileNotFoundError, match=r"no path is given: fill column `source` of row 'my_folder' in config"):
        prep.prepare(row("folder"), "test", *paths)


def test_an_unknown_reader_lists_the_known(paths):
    with pytest.raises(ValueError, match="unknown reader 'cifra'") as caught:
        prep.prepare(row("cifra"), "test", *paths)
    assert all(name in str(caught.value) for name in READERS)


def test_a_list_restricts_a_folder(paths, tree, tmp_path):
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("dog\n")
    assert prep.prepare(row("folder", tree, 1, subset=str(chosen)), "test", *paths) == 1
    assert Store(paths[0]).class_names == ["dog"]
    assert prep.prepare(row("folder", tree, 2, subset=""), "test", *paths) == 2


def test_a_missing_list_is_told(paths, tree):
    with pytest.raises(ValueError, match=r"the list none\.txt does not exist"):
        prep.prepare(row("folder", tree, 2, subset="none.txt"), "test", *paths)


def test_a_list_for_a_reader_that_takes_none_is_refused(paths):
    message = "reader 'digits' takes no list: empty column `subset` of row 'my_digits' in config/datasets.tsv"
    with pytest.raises(ValueError, match=message):
        prep.prepare(row("digits", subset="some.txt"), "test", *paths)


def test_packing_digits_needs_neither_torch_nor_tfds(tmp_path):
    body = f"""
        import sys
        from pathlib import Path
        from mettle.stages import prep
        row = {row("digits")!r}
        prep.prepare(row, "test", Path({str(tmp_path)!r}) / "a.lmdb", Path({str(tmp_path)!r}) / "a.parquet")
        print({{"torch", "torchvision", "tensorflow_datasets", "tensorflow"}} & set(sys.modules))
    """
    command = [sys.executable, "-c", textwrap.dedent(body)]
    done = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["digits", "scenes"])
def test_an_unknown_split_lists_the_known(paths, name):
    with pytest.raises(ValueError, match=f"reader '{name}' has the splits train, test, not 'val'"):
        prep.prepare(row(name), "val", *paths)


def test_a_split_that_the_folder_lacks(paths, tree):
    with pytest.raises(ValueError, match=r"raw/val is no folder; .*raw holds test"):
        prep.prepare(row("folder", tree, 2), "val", *paths)


@pytest.mark.parametrize("name", ["digits", "scenes"])
def test_another_number_of_classes_leaves_nothing(paths, name):
    with pytest.raises(ValueError, match=f"'{name}' holds 10 classes, but `classes` says 11"):
        prep.prepare(row(name, classes=11), "test", *paths)
    assert left(paths) == []


def test_a_truncated_archive_leaves_nothing(paths, archive):
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is truncated, damaged, or no tar archive"):
        prep.prepare(row("cifar10_binary", archive), "test", *paths)
    assert left(paths) == []


def test_an_unreadable_image_leaves_the_old_store(paths, tree):
    prep.prepare(row("folder", tree, 2), "test", *paths)
    before = [path.read_bytes() for path in paths]
    (tree / "test" / "dog" / "2.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"dog/2\.jpg cannot be read as an image"):
        prep.prepare(row("folder", tree, 2), "test", *paths)
    assert [path.read_bytes() for path in paths] == before
    assert left(paths) == ["test.lmdb", "test.parquet"]


def test_a_gzip_that_is_no_archive_is_named(paths, tmp_path):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(ValueError, match=r"x\.tar\.gz is truncated, damaged, or no tar archive"):
        prep.prepare(row("cifar100_binary", path, 100), "test", *paths)


def test_a_source_with_another_sha256_is_refused(paths, archive):
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    prep.prepare(row("cifar10_binary", archive, sha256=right), "test", *paths)
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz has SHA-256 [0-9a-f]{64}, the row says " + right):
        prep.prepare(row("cifar10_binary", archive, sha256=right), "test", *paths)


def test_images_of_another_size_than_the_row_says_are_refused(paths, tree):
    assert prep.prepare(row("folder", tree, 2, size=0), "test", *paths) == 2
    Image.new("RGB", (9, 9), "red").save(tree / "test" / "cat" / "1.jpg")
    message = (
        r"^test/dog/1\.jpg has 9x7 pixels, but `size` of row 'my_folder' in config/datasets\.tsv says 9: if "
        r"images vary, write 0 and set input\.resize of the recipes$"
    )
    with pytest.raises(ValueError, match=message):
        prep.prepare(row("folder", tree, 2, size=9), "test", *paths)
    Image.new("RGB", (9, 9), "red").save(tree / "test" / "dog" / "1.jpg")
    assert prep.prepare(row("folder", tree, 2, size=9), "test", *paths) == 2


def test_the_size_of_any_reader_is_compared(paths):
    assert prep.prepare(row("digits", size=32), "test", *paths) == 500
    with pytest.raises(
        ValueError, match=r"^sklearn digits .* has 32x32 pixels, but `size` of row 'my_digits' in .* says 28"
    ):
        prep.prepare(row("digits", size=28), "test", *paths)


def test_a_store_holds_the_pictures_that_a_person_sees(paths, tree):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 7), "red").save(tree / "test" / "cat" / "1.jpg", exif=exif)
    Image.new("RGBA", (5, 5), (255, 0, 0, 0)).save(tree / "test" / "dog" / "1.jpg", "PNG")
    prep.prepare(row("folder", tree, 2), "test", *paths)
    store = Store(paths[0])
    assert store.image(0).size == (7, 9) and store.image(1).getpixel((2, 2)) == (255, 255, 255)
    frames = [Image.new("L", (5, 5), level) for level in (0, 9)]
    frames[0].save(tree / "test" / "cat" / "2.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(
        ValueError, match=r"cat/2\.gif cannot be read as an image: it is a GIF of 2 frames: keep one of"
    ):
        prep.prepare(row("folder", tree, 2), "test", *paths)


# Targets beyond a label


def pascal(folder, labels=(0, 1, 255), names=("a", "b")):
    """A tree as that of Pascal VOC with one column of pixels per label."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for name in names:
        Image.new("RGB", (len(labels), 4), "red").save(folder / "JPEGImages" / f"{name}.png")
        Image.fromarray(np.array([labels] * 4, np.uint8)).save(folder / "SegmentationClass" / f"{name}.png")
    (folder / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(names))
    return folder


def test_streets_have_the_targets_of_four_tasks(paths):
    said = []
    told = row("streets", map_classes=11, task=["classification", "segmentation", "depth", "detection"])
    assert prep.prepare(told | {"size": 96}, "test", *paths, say=said.append) == 300
    assert left(paths) == ["test.lmdb", "test.parquet", "test.targets.lmdb"]
    found = TargetStore(paths[0])
    assert found.kinds == ("label_map", "depth", "objects")
    assert found.class_names == [*"0123456789", "background"]
    assert Store(paths[0]).labels.tolist() == [index % 10 for index in range(300)]
    assert said == ["300 images of 10 classes with label maps, depth, objects"]


def test_one_task_of_several_writes_its_targets_alone(paths):
    prep.prepare(row("streets", task=["depth"], classes=10), "test", *paths)
    assert TargetStore(paths[0]).kinds == ("depth",)


def test_label_maps_of_ones_own(paths, tmp_path):
    said = []
    told = row("pascal", pascal(tmp_path / "raw"), 2, task=["segmentation"], ignore=255)
    assert prep.prepare(told, "test", *paths, say=said.append) == 2
    assert TargetStore(paths[0]).label_map(1).tolist() == [[0, 1, 255]] * 4
    assert said == ["2 images with label maps"]


def test_names_of_a_list_are_those_of_the_maps(paths, tmp_path):
    (tmp_path / "names.txt").write_text("sky\nground\nnothing\n")
    told = row(
        "pascal", pascal(tmp_path / "raw"), 2, task=["segmentation"], ignore=255, names=str(tmp_path / "names.txt")
    )
    prep.prepare(told | {"map_classes": 3}, "test", *paths)
    assert TargetStore(paths[0]).class_names == ["sky", "ground", "nothing"]


def test_a_list_in_another_order_than_the_source_is_refused(paths, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*"1023456789", "background"]))
    told = row("streets", task=["segmentation"], map_classes=11, names=str(tmp_path / "names.txt"))
    with pytest.raises(ValueError, match=r"class 0 is '0', but '1' in .*names\.txt$"):
        prep.prepare(told, "test", *paths)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            (0, 1, 2),
            "label 2 of its label map, at row 0, column 2, is out of range 0..1: correct the number of classes",
        ),
        ((0, 1, 255, 0), "label 255 of its label map, at row 0, column 2, is out of range 0..1: correct"),
    ],
)
def test_a_map_that_does_not_fit_the_row_names_its_image(paths, tmp_path, labels, message):
    told = row("pascal", pascal(tmp_path / "raw", labels), 2, task=["segmentation"])
    with pytest.raises(ValueError) as caught:
        prep.prepare(told, "test", *paths)
    assert str(caught.value).startswith(f"JPEGImages/a.png: {message}")
    assert left(paths) == []


def test_a_map_of_another_size_names_its_image(paths, tmp_path):
    folder = pascal(tmp_path / "raw")
    Image.new("L", (4, 3)).save(folder / "SegmentationClass" / "b.png")
    with pytest.raises(
        ValueError, match=r"^JPEGImages/b\.png: its label map has 4x3 pixels, but the image has 3x4: give"
    ):
        prep.prepare(row("pascal", folder, 2, task=["segmentation"], ignore=255), "test", *paths)


@pytest.fixture
def far(tmp_path):
    """A function that makes folders with an image and its depth map, and gives their row."""

    def make(depth, **cells):
        files = {"images": Image.new("RGB", (5, 4)), "annotations": Image.fromarray(np.full((4, 5), depth, np.uint16))}
        for kind, image in files.items():
            (tmp_path / "raw" / kind / "test").mkdir(parents=True)
            image.save(tmp_path / "raw" / kind / "test" / "a.png")
        return row("depth_folder", tmp_path / "raw", None, task=["depth"], **cells)

    return make


def test_a_depth_map_of_zeros_names_its_image(paths, far):
    with pytest.raises(ValueError, match=r"^images/test/a\.png: its depth map is 0 everywhere, so no pixel has a"):
        prep.prepare(far(0), "test", *paths)


def test_the_unit_of_the_row_reaches_the_store(paths, far):
    assert prep.prepare(far(512, depth_unit=1 / 256), "test", *paths) == 1
    assert np.array_equal(TargetStore(paths[0]).depth(0), np.full((4, 5), 2, np.float32))


def test_what_the_lists_leave_out_is_in_the_log(paths, tmp_path):
    folder = tmp_path / "nyu"
    (folder / "a").mkdir(parents=True)
    Image.new("RGB", (5, 4)).save(folder / "a" / "rgb_1.jpg")
    Image.fromarray(np.full((4, 5), 512, np.uint16)).save(folder / "a" / "sync_depth_1.png")
    (folder / "nyu_test.txt").write_text("a/rgb_1.jpg a/sync_depth_1.png 1\na/rgb_2.jpg None 1\n")
    said = []
    assert prep.prepare(row("nyu", folder, None, task=["depth"]), "test", *paths, say=said.append) == 1
    assert said == ["1 of 2 lines of nyu_test.txt name no depth map and are left out", "1 images with depth"]


def test_an_archive_that_would_leave_its_folder_is_refused(paths, tmp_path):
    with zipfile.ZipFile(tmp_path / "nyu.zip", "w") as archive:
        archive.writestr("nyu/nyu_test.txt", "")
        archive.writestr("nyu/../../escaped.txt", "")
    with pytest.raises(
        ValueError, match=r"nyu\.zip holds 'nyu/\.\./\.\./escaped\.txt', which would be written outside the"
    ):
        prep.prepare(row("nyu", f"{tmp_path}/nyu.zip#nyu", None, task=["depth"]), "test", *paths)
