"""Images: readers of data sets as they are published, and the store that all other stages read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mettle.data import cifar, digits, folder, scenes
from mettle.data.item import Item
from mettle.data.store import Store, write
from mettle.schema import suggest


@dataclass(frozen=True)
class Reader:
    """A way to read a data set.

    Attributes
    ----------
    read : (source, split, classes, seed) to the split's items in a fixed order
    splits : names of the splits; empty where the source decides
    generated : whether it needs no source
    reference : paper, or what the format is
    """

    read: Callable[..., Iterator[Item]]
    splits: tuple[str, ...]
    generated: bool
    reference: str


_CIFAR = "Krizhevsky 2009, Learning multiple layers of features from tiny images"

READERS = {
    "digits": Reader(digits.read, digits.SPLITS, True, "Alpaydin & Kaynak 1998, doi:10.24432/C50P49"),
    "scenes": Reader(scenes.read, digits.SPLITS, True, "made here, from digits and photographs in scikit-learn"),
    "folder": Reader(folder.read, (), False, "split/class/image, as torchvision.datasets.ImageFolder"),
} | {name: Reader(version.read, ("train", "test"), False, _CIFAR) for name, version in cifar.VERSIONS.items()}


def reader(name: str) -> Reader:
    """The reader of this name; an unknown one is a ValueError that lists the known."""
    if name not in READERS:
        raise ValueError(f"unknown reader '{name}'{suggest(name, READERS)}")
    return READERS[name]


__all__ = ["READERS", "Item", "Reader", "Store", "reader", "write"]
