"""Synthetic CIFAR-10: pixel for pixel what the two files hold, and every way in which they can disagree."""

import numpy as np
import pytest

from mettle.data import ddpm
from mettle.data.item import decode

LABELS = [3, 0, 9, 3, 5]


def pixels(n):
    return np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), np.uint8)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "some_sorted_images.bin").write_bytes(pixels(5).tobytes())
    np.save(tmp_path / "some_sorted_labels.npy", np.array(LABELS))
    return tmp_path


def read(source):
    return list(ddpm.read(source, "train", 10, 0))


def test_every_image_is_read_once_and_exactly(source):
    found = read(source)
    assert np.array_equal([np.asarray(decode(item.data)) for item in found], pixels(5))
    assert [item.label for item in found] == LABELS
    assert [item.class_name for item in found[:3]] == ["cat", "airplane", "truck"]
    assert found[4].source == "some_sorted_images.bin[4]"


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_labels_may_have_any_kind_of_whole_number(source, kind):
    np.save(source / "some_sorted_labels.npy", np.array(LABELS, kind))
    assert [item.label for item in read(source)] == LABELS


def test_the_pixels_are_mapped_not_read(source):
    # A sparse file of 15 million images: reading it as a whole would take 47 GB.
    n = 15_402_688
    with (source / "some_sorted_images.bin").open("r+b") as file:
        file.truncate(n * 3072)
    labels = np.lib.format.open_memmap(source / "some_sorted_labels.npy", "w+", np.uint8, (n,))
    labels.flush()
    first = next(ddpm.read(source, "train", 10, 0))
    assert np.array_equal(np.asarray(decode(first.data)), pixels(5)[0])


@pytest.mark.parametrize("change", [-1, 1, -3072])
def test_a_file_of_another_size_is_told(source, change):
    path = source / "some_sorted_images.bin"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + b"x")
    size = 15360 + change
    with pytest.raises(ValueError, match=rf"images\.bin has {size} bytes, but 5 labels in some.* need 15360, 3072 an"):
        read(source)


@pytest.mark.parametrize(("label", "row"), [(10, 2), (-1, 4)])
def test_a_label_out_of_range_is_named(source, label, row):
    labels = np.array(LABELS)
    labels[row] = label
    np.save(source / "some_sorted_labels.npy", labels)
    with pytest.raises(ValueError, match=rf"labels\.npy\[{row}\]: label {label} is out of range 0\.\.9"):
        read(source)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5), r"holds float64 of shape \(5,\), not one integer per image"),
        (np.zeros((5, 1), int), r"holds int64 of shape \(5, 1\), not"),
        (np.zeros(0, int), r"holds int64 of shape \(0,\), not"),
        (np.array([None]), "is damaged or not an array of numbers"),
    ],
)
def test_labels_that_are_no_numbers_are_told(source, labels, message):
    np.save(source / "some_sorted_labels.npy", labels)
    with pytest.raises(ValueError, match=rf"labels\.npy {message}"):
        read(source)


def test_a_truncated_file_of_labels_is_told(source):
    path = source / "some_sorted_labels.npy"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"labels\.npy is damaged or not an array of numbers"):
        read(source)


@pytest.mark.parametrize("name", ["some_sorted_images.bin", "some_sorted_labels.npy"])
def test_each_file_is_there_once(source, name):
    pattern = "*" + name[11:]
    twice = source / f"other{name[4:]}"
    twice.write_bytes((source / name).read_bytes())
    with pytest.raises(ValueError, match=rf"holds 2 files \{pattern}, but needs one"):
        read(source)
    twice.unlink()
    (source / name).unlink()
    with pytest.raises(ValueError, match=rf"holds 0 files \{pattern}, but needs one"):
        read(source)


def test_classes_are_ten(source):
    with pytest.raises(ValueError, match="data set 'cifar_ddpm' holds 10 classes, but `classes` says 100"):
        ddpm.read(source, "train", 100, 0)
