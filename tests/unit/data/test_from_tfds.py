"""Sets of TFDS, in array_record and in tfrecord files made on the spot, read without TensorFlow."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import records_by_hand
from mettle.data import from_tfds
from mettle.data.item import decode, png

NAMES = ["ant", "bee", "cat"]


def noise(n):
    return np.random.default_rng(n).integers(0, 256, (n, 6, 5, 3), np.uint8)


def examples(n):
    return [{"image": png(array), "label": k % 3, "file_name": f"{k}.png"} for k, array in enumerate(noise(n))]


def build(folder, splits, features=None, name="made", version="1.0.0", keys=("image", "label")):
    """A data set of TFDS as its own code would write it."""

    class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)

        def _info(self):
            spec = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=NAMES)}
            spec = features or (spec | {"file_name": tfds.features.Text()})
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(spec), supervised_keys=keys, disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {split: iter(list(enumerate(made))) for split, made in splits.items()}

        def _generate_examples(self):
            """Never called."""

    Made.name = name
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    Made(data_dir=str(folder), file_format="array_record").download_and_prepare(download_config=config)
    return folder


@pytest.fixture
def source(tmp_path):
    return build(tmp_path, {"train": examples(7), "test": examples(4)})


def read(source, name="made", split="train", classes=3):
    return list(from_tfds.read(name, source, split, classes, 0))


def test_every_image_is_read_once_with_its_own_bytes(source):
    found = read(source)
    assert [item.data for item in found] == [example["image"] for example in examples(7)]
    assert [item.label for item in found] == [0, 1, 2, 0, 1, 2, 0]
    assert [item.class_name for item in found[:3]] == NAMES
    assert found[6].source == "made/1.0.0, split 'train', image 6 (6.png)"
    assert np.array_equal([np.asarray(decode(item.data)) for item in read(source, split="test")], noise(4))
    assert "tensorflow" not in sys.modules


def test_jpeg_and_grey_images_stay_as_they_are(tmp_path):
    made = examples(2)
    for example, mode in zip(made, ("RGB", "L"), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(noise(1)[0]).convert(mode).save(buffer, "JPEG")
        example["image"] = buffer.getvalue()
    found = read(build(tmp_path, {"train": made}))
    assert [item.data for item in found] == [example["image"] for example in made]
    assert decode(found[1].data).mode == "RGB"


def test_a_version_can_be_named(tmp_path):
    build(tmp_path, {"train": examples(2)})
    build(tmp_path, {"train": examples(3)}, version="2.0.0")
    assert (len(read(tmp_path)), len(read(tmp_path, "made:1.0.0")), len(read(tmp_path, "made:2.0.0"))) == (3, 2, 3)
    with pytest.raises(ValueError, match=r"holds no TFDS data set 'made:3\.0\.0'"):
        read(tmp_path, "made:3.0.0")


def test_keys_without_a_declaration_are_image_and_label(tmp_path):
    assert len(read(build(tmp_path, {"train": examples(2)}, keys=None))) == 2


def test_an_absent_set_says_how_to_make_it(source):
    with pytest.raises(ValueError) as caught:
        read(source, "caltech101")
    text = str(caught.value)
    assert text.startswith(
        f"{source} holds no TFDS data set 'caltech101'; where TensorFlow is installed, this makes it"
    )
    assert text.endswith(f"tfds build caltech101 --data_dir={source}")


def test_another_file_format_is_told(source):
    path = source / "made" / "1.0.0" / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "riegeli"))
    message = r"made/1\.0\.0 is in the format riegeli: prepare it with file_format=tfrecord or array_record$"
    with pytest.raises(ValueError, match=message):
        read(source)


def test_an_unknown_split_lists_the_known(source):
    with pytest.raises(ValueError, match=r"made/1\.0\.0 has the splits test, train, not 'val'"):
        read(source, split="val")


def test_another_number_of_classes_is_refused(source):
    with pytest.raises(ValueError, match=r"made/1\.0\.0, split 'train' holds 3 classes, but `classes` says 10"):
        read(source, classes=10)


def test_grey_sets_are_refused(tmp_path):
    features = {"image": tfds.features.Image(shape=(6, 5, 1)), "label": tfds.features.ClassLabel(names=NAMES)}
    made = [{"image": png(noise(1)[0, ..., 0]), "label": 0}]
    with pytest.raises(ValueError, match=r"made/1\.0\.0 has images with 1 channels, but only three are taken"):
        read(build(tmp_path, {"train": made}, features))


@pytest.mark.parametrize(
    ("features", "example", "keys"),
    [
        ({"image": tfds.features.Image(), "label": np.int64}, {"label": 3}, ("image", "label")),
        ({"image": tfds.features.Image(), "kind": tfds.features.ClassLabel(names=NAMES)}, {"kind": 2}, None),
    ],
)
def test_a_set_without_classes_is_refused(tmp_path, features, example, keys):
    source = build(tmp_path, {"train": [{"image": png(noise(1)[0])} | example]}, features, keys=keys)
    held = ", ".join(sorted(features))
    with pytest.raises(ValueError, match=f"is not a classification set: no image with a class label among {held}"):
        read(source)


def test_a_damaged_image_is_named(tmp_path):
    made = examples(3)
    made[1]["image"] = made[1]["image"][:40]
    with pytest.raises(ValueError, match=r"split 'train', image 1 \(1\.png\) cannot be read"):
        read(build(tmp_path, {"train": made}))


def test_unlabelled_images_are_refused(tmp_path):
    made = examples(3)
    made[2]["label"] = -1
    with pytest.raises(ValueError, match=r"image 2 \(2\.png\): label -1 is out of range 0\.\.2"):
        read(build(tmp_path, {"train": made}))


# The tfrecord format


def as_tfrecord(source, split, shards, name="made"):
    """The split of a data set once more in TFRecord files, a list of records each; what describes it stays."""
    folder = next((source / name).iterdir())
    for path in folder.glob(f"{name}-{split}.array_record*"):
        path.unlink()
    paths = [folder / f"{name}-{split}.tfrecord-{k:05}-of-{len(shards):05}" for k in range(len(shards))]
    for path, records in zip(paths, shards, strict=True):
        path.write_bytes(b"".join(map(records_by_hand.record, records)))
    info = json.loads((folder / "dataset_info.json").read_text())
    info["fileFormat"] = "tfrecord"
    next(one for one in info["splits"] if one["name"] == split)["shardLengths"] = [str(len(one)) for one in shards]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return paths


def recorded(example):
    return records_by_hand.example(example | {"file_name": example["file_name"].encode()})


@pytest.fixture
def shards(source):
    """Three files of 3, 0 and 4 images."""
    records = list(map(recorded, examples(7)))
    return as_tfrecord(source, "train", [records[:3], [], records[3:]])


def test_shards_are_read_in_their_order(source, shards):
    found = read(source)
    assert [item.data for item in found] == [example["image"] for example in examples(7)]
    assert [(item.label, item.class_name) for item in found] == [(k % 3, NAMES[k % 3]) for k in range(7)]
    assert [item.source for item in found[2:4]] == [
        "made/1.0.0, split 'train', image 2 (2.png)",
        "made/1.0.0, split 'train', image 3 (3.png)",
    ]
    assert "tensorflow" not in sys.modules


def test_caltech101_as_tfds_publishes_it(tmp_path):
    """Its features, its 102 classes with the background among them, its splits, and JPEG files."""
    labels = tfds.core.tfds_path("image_classification/caltech101_labels.txt")
    names = labels.read_text().split()
    assert len(names) == 102 and "background_google" in names
    kinds = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names_file=labels)}
    kinds["image/file_name"] = tfds.features.Text()
    made = []
    for label, array in enumerate(noise(102)):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "JPEG")
        made.append({"image": buffer.getvalue(), "label": label, "image/file_name": f"image_{label:04}.jpg"})
    build(tmp_path, {"train": made[:1], "test": made[:1]}, kinds, name="caltech101", version="3.0.2")
    records = [records_by_hand.example(one | {"image/file_name": one["image/file_name"].encode()}) for one in made]
    as_tfrecord(tmp_path, "train", [records[:60], records[60:]], name="caltech101")
    as_tfrecord(tmp_path, "test", [records[50:]], name="caltech101")
    train, test = (read(tmp_path, "caltech101", split, classes=102) for split in ("train", "test"))
    assert [item.data for item in train] == [one["image"] for one in made] and train[50:] == [
        replace(item, source=item.source.replace("test", "train").replace(f"image {k} ", f"image {k + 50} "))
        for k, item in enumerate(test)
    ]
    assert [item.class_name for item in train] == names
    assert train[101].source == "caltech101/3.0.2, split 'train', image 101 (image_0101.jpg)"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "00002-of-00003, record 3: the file ends within it"),
        (lambda data: data[:5], "00002-of-00003, record 0: the file ends within it"),
        (
            lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
            "record 0: the file is damaged, a checksum",
        ),
        (lambda data: data[:2] + bytes([data[2] ^ 1]) + data[3:], "record 0: the file is damaged, a checksum"),
        (lambda data: data + records_by_hand.record(b"\xff"), r"record 4 is not a tf\.train\.Example"),
    ],
)
def test_a_damaged_file_is_named_with_its_record(source, shards, damage, message):
    shards[2].write_bytes(damage(shards[2].read_bytes()))
    with pytest.raises(ValueError, match=message):
        read(source)


def test_a_file_that_ends_after_a_record_is_too_short(source, shards):
    shards[0].write_bytes(b"".join(records_by_hand.record(recorded(one)) for one in examples(7)[:2]))
    with pytest.raises(ValueError, match=r"00000-of-00003 holds 2 records, but dataset_info\.json says 3: copy"):
        read(source)


def test_a_shard_that_is_not_there_is_missed_before_anything_is_read(source, shards):
    shards[1].unlink()
    with pytest.raises(ValueError, match=r"00001-of-00003, one of 3 files of 'train', does not exist: copy"):
        read(source)


@pytest.mark.parametrize(
    ("features", "name"),
    [({"image": b"x"}, "label"), ({"label": 1}, "image"), ({"image": b"x", "label": [1, 2]}, "label")],
)
def test_a_missing_feature_is_named(source, features, name):
    as_tfrecord(source, "train", [[records_by_hand.example(features)]])
    held = ", ".join(sorted(features))
    with pytest.raises(ValueError, match=f"record 0 has no feature '{name}' with one value: there are {held}"):
        read(source)
