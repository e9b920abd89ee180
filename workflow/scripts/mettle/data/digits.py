"""
The handwritten digits of scikit-learn, as 32x32 images: real, tiny, no download.

1,797 digits of 8x8 pixels with 17 grey levels, the test part of the UCI set "Optical Recognition of Handwritten
Digits" (Alpaydin and Kaynak 1998, doi:10.24432/C50P49). Small networks reach 97-99 %.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mettle.data.item import Item, check_classes, png

SPLITS = ("train", "test")
CLASS_NAMES = tuple("0123456789")
_TEST = 500
_SPLIT_SEED = 0  # a constant: the split is part of the data set, whatever the seed of an experiment


def read(source: Path | None, split: str, classes: int, seed: int) -> Iterator[Item]:
    """The digits of one split, white on black in the middle of a 32x32 RGB image; `source` and `seed` change nothing.

    Raises
    ------
    ValueError
        If `classes` is not 10.
    """
    check_classes(len(CLASS_NAMES), classes, "data set 'digits'")
    for index in indices(split):
        label = int(labels()[index])
        canvas = np.zeros((32, 32, 3), np.uint8)
        canvas[2:30, 2:30] = glyph(index, 28)[..., None]
        yield Item(png(canvas), label, CLASS_NAMES[label], f"sklearn digits {index}")


def indices(split: str) -> np.ndarray:
    """Indices into scikit-learn's digits of one split, ascending: 1,297 for train or 500 for test, stratified."""
    return _split()[SPLITS.index(split)]


def labels() -> np.ndarray:
    """Class 0..9 of each of scikit-learn's digits, int64 (1797,)."""
    return _digits().target


def glyph(index: int, size: int) -> np.ndarray:
    """One of scikit-learn's digits, resized: uint8 (size, size), 0 for paper and 255 for full ink."""
    ink = np.round(_digits().images[index] * (255 / 16)).astype(np.uint8)
    return np.asarray(Image.fromarray(ink).resize((size, size), Image.Resampling.BICUBIC))


@cache
def _digits() -> object:
    from sklearn.datasets import load_digits

    return load_digits()


@cache
def _split() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels()))
    parts = train_test_split(everything, test_size=_TEST, stratify=labels(), random_state=_SPLIT_SEED)
    return np.sort(parts[0]), np.sort(parts[1])
