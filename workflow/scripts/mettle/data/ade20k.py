"""
ADE20K for semantic segmentation, as the archive ADEChallengeData2016 holds it.

`images/{training,validation}/*.jpg` beside `annotations/{training,validation}/*.png`. Annotations have 0 for
pixels of no class and 1 to 150 for the classes; a store has 0 to 149 for the classes and `IGNORE` for the rest.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mettle.data.item import Item, Targets
from mettle.data.reading import in_order, pair, read_image, read_map

SPLITS = ("training", "validation")
IGNORE = 255
_CLASSES = 150
_NAMES = "objectInfo150.txt"


def read(source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of one split with their label maps, by file name; `seed` changes nothing.

    Raises
    ------
    ValueError
        If `classes` is not 150, a folder is missing, an image or annotation has no partner, a file cannot be read, or a
        label is above 150.
    """
    if classes != _CLASSES:
        raise ValueError(f"ADE20K has {_CLASSES} classes, but `classes` says {classes}")
    pairs = pair(source / "images" / split, source / "annotations" / split)
    return in_order(partial(_item, source), pairs)


def names(source: Path, split: str) -> list[str]:
    """Names of the classes by `objectInfo150.txt`, the first of several synonyms; none if it is missing."""
    path = source / _NAMES
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t")[-1].split(",")[0].strip() for line in lines if line.strip()]


def _item(source: Path, paths: tuple[Path, Path]) -> Item:
    image, annotation = paths
    labels = read_map(annotation)
    if labels.max() > _CLASSES:
        raise ValueError(f"{annotation} holds label {labels.max()}, but those of ADE20K are 0 to {_CLASSES}")
    targets = Targets(np.where(labels == 0, IGNORE, labels - 1).astype(np.uint8))
    return Item(read_image(image), None, "", image.relative_to(source).as_posix(), targets=targets)
