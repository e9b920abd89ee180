"""Sets of TFDS, in array_record files made on the spot, read without TensorFlow."""

import io
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

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
    assert text.endswith(f"tfds build caltech101 --data_dir={source} --file_format=array_record")


def test_another_file_format_is_told(source):
    path = source / "made" / "1.0.0" / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"made/1\.0\.0 is in the format tfrecord; prepare it with file_format='array"):
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
    with pytest.raises(ValueError, match=f"is no classification set: no image with a class label among {held}"):
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


def test_caltech101_of_tfds_has_102_classes():
    names = tfds.core.tfds_path("image_classification/caltech101_labels.txt").read_text().split()
    assert len(names) == 102 and "background_google" in names
