"""Sets of torchvision, in files made on the spot: exact pixels, splits by signature, and what is refused."""

import pickle

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from mettle.data import from_torchvision
from mettle.data.item import decode


def noise(n, size=(6, 5)):
    return np.random.default_rng(n).integers(0, 256, (n, *size, 3), np.uint8)


def read(name, source, split="train", classes=3):
    return list(from_torchvision.read(name, source, split, classes, 0))


def same(items, arrays):
    return len(items) == len(arrays) and all(
        np.array_equal(np.asarray(decode(item.data)), array) for item, array in zip(items, arrays, strict=True)
    )


@pytest.fixture
def caltech(tmp_path):
    """Caltech101 with 3 categories of 20 images, and the background that torchvision leaves out."""
    for name in ("ant", "bee", "cat", "BACKGROUND_Google"):
        folder = tmp_path / "caltech101" / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for number in range(1, 21):
            Image.fromarray(noise(number)[0]).save(folder / f"image_{number:04d}.jpg")
    return tmp_path


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR10 in its python version, with the check of the checksums told to pass."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, names in enumerate((datasets.CIFAR10.train_list, datasets.CIFAR10.test_list)):
        for name, _ in names:
            data = noise(4 + number, (32, 32)).transpose(0, 3, 1, 2).reshape(-1, 3072)
            (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 1, 0][: len(data)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b", "c"]}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return tmp_path


class Made:
    """A data set in memory, as torchvision would hand it out."""

    names = None

    def __init__(self, root, split="train"):
        if split not in ("train", "test"):
            raise ValueError(f"Unknown value '{split}'\nfor argument split.")
        if self.names:
            self.classes = self.names

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, position):
        if isinstance(self.examples[position], Exception):
            raise self.examples[position]
        return self.examples[position]


@pytest.fixture
def made(monkeypatch):
    def make(*examples, names=None):
        monkeypatch.setattr(datasets, "Made", type("Made", (Made,), {"examples": examples, "names": names}), False)

    return make


def picture(mode="RGB", n=1):
    return Image.fromarray(noise(n)[0]).convert(mode)


# What is read


def test_train_and_test_by_a_switch(cifar):
    train, test = read("CIFAR10", cifar), read("CIFAR10", cifar, "test")
    assert same(train, np.concatenate([noise(4, (32, 32))] * 5))
    assert same(test, noise(5, (32, 32)))
    assert [item.label for item in test] == [0, 1, 2, 1, 0]
    assert [item.class_name for item in test] == ["a", "b", "c", "b", "a"]
    assert test[4].source == "torchvision's CIFAR10, split 'test', image 4"


def test_a_set_without_splits_is_split_once_and_for_all(caltech):
    train, test = read("Caltech101", caltech), read("Caltech101", caltech, "test")
    assert (len(train), len(test)) == (48, 12)
    positions = [int(item.source.rsplit(" ", 1)[1]) for item in train + test]
    assert sorted(positions) == list(range(60))
    assert [item.label for item in test] == [0] * 4 + [1] * 4 + [2] * 4
    assert [item.source for item in test] == [item.source for item in read("Caltech101", caltech, "test")]
    assert {item.class_name for item in train} == {"ant", "bee", "cat"}


@pytest.mark.parametrize("n", [0, 4, 5, 14, 1000])
def test_one_of_every_five_images_is_held_out(n):
    test = from_torchvision.held_out(n)
    blocks = test[: n // 5 * 5].reshape(-1, 5)
    assert (blocks.sum(1) == 1).all() and not test[n // 5 * 5 :].any()


def test_the_place_of_the_held_out_image_is_drawn():
    counts = from_torchvision.held_out(5000).reshape(-1, 5).sum(0)
    assert counts.sum() == 1000 and ((counts > 150) & (counts < 250)).all()  # 200 each, standard deviation 13


def test_a_grey_image_among_colour_ones_gets_equal_channels(made):
    made((picture(), 0), (picture("L"), 1), names=["a", "b"])
    grey = np.asarray(decode(read("Made", "x", classes=2)[1].data))
    assert np.array_equal(grey, np.repeat(np.asarray(picture("L"))[..., None], 3, 2))


def test_class_names_of_several_words_are_joined_and_missing_ones_are_indices(made):
    made((picture(), 1), (picture(), 0), names=[("tench", "Tinca tinca"), "shark"])
    assert [item.class_name for item in read("Made", "x", classes=2)] == ["shark", "tench, Tinca tinca"]
    made((picture(), np.int64(1)), (picture(), 0))
    assert [item.class_name for item in read("Made", "x", classes=2)] == ["1", "0"]


def test_flowers_have_102_classes():
    assert len(datasets.Flowers102.classes) == 102


# What is refused


def test_an_unknown_name_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"^torchvision has no data set 'Flower102': did you mean 'Flowers102'\?$"):
        read("Flower102", tmp_path)


def test_absent_data_say_how_to_get_them(tmp_path):
    with pytest.raises(ValueError) as caught:
        read("Flowers102", tmp_path, classes=102)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path} does not hold torchvision's Flowers102, split 'train': Dataset not found")
    assert text.endswith(
        f'; to get it: from torchvision.datasets import Flowers102; Flowers102("{tmp_path}", download=True)'
    )
    assert "\n" not in text


def test_a_set_that_torchvision_cannot_download_gets_no_such_hint(tmp_path):
    with pytest.raises(ValueError, match="does not hold torchvision's ImageNet, split 'val'") as caught:
        read("ImageNet", tmp_path, "val")
    assert "to get it" not in str(caught.value)


def test_an_unknown_split_is_told(made, cifar):
    made((picture(), 0))
    with pytest.raises(
        ValueError, match=r"x does not hold torchvision's Made, split 'val': Unknown value 'val' for arg"
    ):
        read("Made", "x", "val")
    with pytest.raises(ValueError, match=r"^torchvision's CIFAR10, split 'val': the splits are train, test$"):
        read("CIFAR10", cifar, "val")


def test_another_number_of_classes_is_refused_before_anything_is_read(made):
    made(OSError("never read"), names=["a", "b"])
    with pytest.raises(ValueError, match="split 'train' holds 2 classes, but `classes` says 3"):
        read("Made", "x")


def test_classes_without_names_are_counted_in_the_labels(made):
    made((picture(), 0), (picture(), 1))
    with pytest.raises(ValueError, match="split 'train' holds 2 classes, but `classes` says 3"):
        read("Made", "x")


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_named(made, label):
    made((picture(), 0), (picture(), label), names=["a", "b"])
    with pytest.raises(ValueError, match=rf"split 'train', image 1: label {label} is out of range 0\.\.1"):
        read("Made", "x", classes=2)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([(picture("L"), 0)], "image 0 is of mode 'L', but only images with three channels are taken"),
        ([(picture(), 0), (picture("CMYK"), 0)], "image 1 is of mode 'CMYK', but only"),
        ([(picture(), 0), (noise(1)[0], 0)], "image 1 is of mode 'ndarray', but only"),
        ([(picture(), (1, 2))], "image 0 has a tuple for a label, not the index of a class"),
        ([(picture(), 0), OSError("bad file")], "image 1 cannot be read: bad file"),
    ],
)
def test_what_is_no_colour_image_with_a_label_is_named(made, examples, message):
    made(*examples, names=["a", "b"])
    with pytest.raises(ValueError, match=f"^torchvision's Made, split 'train', {message}"):
        read("Made", "x", classes=2)
