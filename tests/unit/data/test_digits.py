"""The digits of scikit-learn: all of them once, in a fixed stratified split."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mettle.data import digits


@pytest.fixture(scope="module")
def both():
    return {split: list(digits.read(None, split, 10, 0)) for split in digits.SPLITS}


def test_every_digit_once(both):
    assert {split: len(items) for split, items in both.items()} == {"train": 1297, "test": 500}
    sources = [item.source for items in both.values() for item in items]
    assert sorted(sources) == sorted(f"sklearn digits {k}" for k in range(1797))


def test_the_split_is_stratified(both):
    whole = np.bincount(load_digits().target) / 1797
    for items in both.values():
        share = np.bincount([item.label for item in items]) / len(items)
        assert np.abs(share - whole).max() < 0.002


def test_labels_are_those_of_scikit_learn(both):
    target = load_digits().target
    for item in both["test"]:
        assert item.label == target[int(item.source.split()[-1])]
        assert item.class_name == str(item.label)


def test_images_show_the_digits(both):
    grey = load_digits().images
    for item in both["train"][:50]:
        image = Image.open(io.BytesIO(item.data))
        assert (image.mode, image.size, image.format) == ("RGB", (32, 32), "PNG")
        array = np.asarray(image)
        assert (array == array[..., :1]).all()
        small = np.asarray(image.convert("L").crop((2, 2, 30, 30)).resize((8, 8), Image.Resampling.BOX), float) / 255
        assert np.corrcoef(small.ravel(), grey[int(item.source.split()[-1])].ravel())[0, 1] > 0.95


def test_the_split_depends_on_no_seed(both):
    assert list(digits.read(None, "test", 10, 99)) == both["test"]
    assert digits.indices("test")[:5].tolist() == sorted(digits.indices("test"))[:5]
    assert not set(digits.indices("train")) & set(digits.indices("test"))


def test_glyphs_come_in_any_size():
    for size in (8, 13, 28):
        glyph = digits.glyph(0, size)
        assert glyph.shape == (size, size) and glyph.dtype == np.uint8
    assert np.array_equal(digits.glyph(0, 8), np.round(load_digits().images[0] * 255 / 16))


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="'digits' holds 10 classes, but `classes` says 9"):
        list(digits.read(None, "test", 9, 0))
