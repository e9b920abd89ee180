"""Stores as TFDS data sets: the same pixels, labels and ids come back, in the same order, without TensorFlow."""

import io
import os
import stat
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mettle.data import from_tfds, to_tfds
from mettle.data.item import Item, png
from mettle.data.store import Store, write

NAMES = ["ant", "bee", "cat"]


def noise(n):
    return np.random.default_rng(n).integers(0, 256, (n, 6, 5, 3), np.uint8)


def items(n):
    return [Item(png(array), k % 3, NAMES[k % 3], f"{k}.png") for k, array in enumerate(noise(n))]


def stored(folder, split, made):
    write(folder / f"{split}.lmdb", folder / f"{split}.parquet", made)
    return folder / f"{split}.lmdb"


def publish(stores, folder, name="made", version="1.0.0", classes=3, **more):
    return to_tfds.publish(stores, name, version, folder, "Made here.", classes=classes, **more)


def load(folder, split):
    return list(tfds.builder_from_directory(folder).as_data_source(split))


def encoded(image, form):
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_pixels_labels_ids_and_sources_come_back_in_order(tmp_path):
    made = [replace(item, id=3 * k) for k, item in enumerate(items(300))]
    folder = publish({"train": stored(tmp_path, "train", made)}, tmp_path / "tfds")
    assert folder == tmp_path / "tfds" / "made" / "1.0.0"
    found = load(folder, "train")
    assert np.array_equal([example["image"] for example in found], noise(300))
    assert [example["label"] for example in found] == [k % 3 for k in range(300)]
    assert [example["id"] for example in found] == [3 * k for k in range(300)]
    assert [example["file_name"] for example in found] == [f"{k}.png".encode() for k in range(300)]
    assert "tensorflow" not in sys.modules


def test_files_and_folders_get_what_the_umask_gives(tmp_path):
    store, before = stored(tmp_path, "test", items(2)), os.umask(0o027)
    try:
        publish({"test": store}, tmp_path / "tfds")
    finally:
        os.umask(before)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tfds").rglob("*")}
    assert modes == {True: 0o750, False: 0o640}


def test_splits_names_and_description_are_kept(tmp_path):
    stores = {split: stored(tmp_path, split, items(n)) for split, n in (("train", 7), ("validation", 4))}
    folder = publish(stores, tmp_path / "tfds", version="1.2.0", homepage="https://example.org")
    info = tfds.builder_from_directory(folder).info
    assert {name: split.num_examples for name, split in info.splits.items()} == {"train": 7, "validation": 4}
    assert info.full_name == "made/1.2.0"
    assert (info.description, info.homepage) == ("Made here.", "https://example.org")
    assert info.features["label"].names == NAMES
    assert info.supervised_keys == ("image", "label")


def test_what_is_published_can_be_read_by_our_reader(tmp_path):
    made = items(5)
    publish({"train": stored(tmp_path, "train", made)}, tmp_path / "tfds")
    found = list(from_tfds.read("made", tmp_path / "tfds", "train", 3, 0))
    assert [(item.data, item.label, item.class_name) for item in found] == [
        (item.data, item.label, item.class_name) for item in made
    ]
    assert found[2].source == "made/1.0.0, split 'train', image 2 (2.png)"


def test_classes_without_images_are_named_by_the_list_or_their_index(tmp_path):
    stores = {"train": stored(tmp_path, "train", items(1))}
    named = publish(stores, tmp_path / "a", names=NAMES)
    unnamed = publish(stores, tmp_path / "b")
    assert tfds.builder_from_directory(named).info.features["label"].names == NAMES
    assert tfds.builder_from_directory(unnamed).info.features["label"].names == ["ant", "1", "2"]


def test_names_of_the_splits_complete_each_other(tmp_path):
    made = items(3)
    stores = {"train": stored(tmp_path, "train", made[:1]), "test": stored(tmp_path, "test", made[1:])}
    assert tfds.builder_from_directory(publish(stores, tmp_path / "a")).info.features["label"].names == NAMES


def test_rgb_files_keep_their_bytes_and_others_become_png(tmp_path):
    photo = Image.fromarray(noise(1)[0])
    kept = [encoded(photo, "JPEG"), encoded(photo, "PNG")]
    others = [encoded(photo.convert("CMYK"), "JPEG"), encoded(photo.convert("L"), "PNG"), encoded(photo, "BMP")]
    made = [Item(data, 0, "ant", f"{k}") for k, data in enumerate(kept + others)]
    store = Store(stored(tmp_path, "train", made))
    folder = publish({"train": store.path}, tmp_path / "tfds")
    skip = {"image": tfds.decode.SkipDecoding()}
    raw = [example["image"] for example in tfds.builder_from_directory(folder).as_data_source("train", decoders=skip)]
    assert raw[:2] == kept and all(data.startswith(b"\x89PNG") for data in raw[2:])
    assert np.array_equal([example["image"] for example in load(folder, "train")], store.arrays())


def test_features_of_the_callers_own(tmp_path):
    def extra(source):
        return {"file_name": source, "eps": 4 / 255, "steps": 10}

    found = load(publish({"train": stored(tmp_path, "train", items(2))}, tmp_path / "a", extra=extra), "train")
    assert found[1]["file_name"] == b"1.png" and found[1]["steps"] == 10
    assert found[1]["eps"] == pytest.approx(4 / 255, rel=1e-6)


def test_a_newer_data_set_replaces_the_older_and_leaves_nothing_beside_it(tmp_path):
    publish({"train": stored(tmp_path, "train", items(3))}, tmp_path / "tfds")
    folder = publish({"train": stored(tmp_path, "train", items(5))}, tmp_path / "tfds")
    assert np.array_equal([example["image"] for example in load(folder, "train")], noise(5))
    assert [path.name for path in (tmp_path / "tfds").iterdir()] == ["made"]
    assert [path.name for path in (tmp_path / "tfds" / "made").iterdir()] == ["1.0.0"]


def test_a_failure_leaves_the_older_data_set(tmp_path):
    path = stored(tmp_path, "train", items(3))
    folder = publish({"train": path}, tmp_path / "tfds")
    content = bytearray(path.read_bytes())
    content[content.index(items(3)[1].data) + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="image with id 1 is damaged"):
        publish({"train": path}, tmp_path / "tfds")
    assert np.array_equal([example["image"] for example in load(folder, "train")], noise(3))
    assert [path.name for path in (tmp_path / "tfds").iterdir()] == ["made"]


def test_progress_sees_every_image(tmp_path):
    seen = []
    publish(
        {"train": stored(tmp_path, "train", items(4))},
        tmp_path / "tfds",
        progress=lambda positions: (seen.append(k) or k for k in positions),
    )
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"names": ["ant", "fly", "cat"]}, r"train\.lmdb: class 1 is named 'bee', but elsewhere 'fly'"),
        ({"names": NAMES[:2]}, "there are 2 class names for 3 classes"),
        ({"classes": 2}, r"train\.lmdb has label 2, out of range 0\.\.1"),
    ],
)
def test_classes_that_do_not_fit_are_refused(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        publish({"train": stored(tmp_path, "train", items(3))}, tmp_path / "tfds", **more)
    assert not (tmp_path / "tfds").exists()


def test_no_stores_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="there are no stores for the data set 'made'"):
        publish({}, tmp_path / "tfds")
