"""
Depth in folders as mmsegmentation has them for NYU Depth v2: `images/{split}/*` beside `annotations/{split}/*.png`.

An image and its depth map have the same name but for the ending. Depth maps are PNG in grey of 16 bits, 0 where there
is no value.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mettle.data.item import MILLIMETRE, Item
from mettle.data.nyu import depth_item
from mettle.data.reading import in_order, pair


def read(source: Path, split: str, classes: int | None, seed: int, unit: float = MILLIMETRE) -> Iterator[Item]:
    """Images of one split with their depth, by file name; `classes` and `seed` change nothing.

    Parameters
    ----------
    source : folder with `images` and `annotations`
    split : name of a folder in each of them
    unit : what a step of the depth maps stands for, metres

    Raises
    ------
    ValueError
        If a folder is missing, an image or depth map has no partner, or a file cannot be read.
    """
    return in_order(partial(depth_item, source, unit), pair(source / "images" / split, source / "annotations" / split))
