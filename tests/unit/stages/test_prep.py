"""The prep stage: a row of the sheet becomes a store, or one sentence says what is wrong and nothing is left."""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import textwrap

import numpy as np
import pytest
from PIL import Image

from imports import SCRIPTS
from mettle import tables
from mettle.data import Store
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
