"""The readers by name: each turns a data set as it is published into items for a store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from mettle.data import cifar, ddpm, digits, folder, from_tfds, from_torchvision, scenes
from mettle.data.item import Item
from mettle.schema import suggest


@dataclass(frozen=True)
class Reader:
    """A way to read a data set.

    Attributes
    ----------
    read : (source, split, classes, seed) to the split's items in a fixed order; also `subset` where `subsets`
    splits : names of the splits; empty where the source decides
    generated : whether it needs no source
    reference : paper, or what the format is
    example : for a reader of many data sets, one of them; `read` then takes the data set's name first
    subsets : whether it can be restricted to a list of classes or files
    """

    read: Callable[..., Iterator[Item]]
    splits: tuple[str, ...]
    generated: bool
    reference: str
    example: str = ""
    subsets: bool = False


_CIFAR = "Krizhevsky 2009, Learning multiple layers of features from tiny images"

READERS = {
    "digits": Reader(digits.read, digits.SPLITS, True, "Alpaydin & Kaynak 1998, doi:10.24432/C50P49"),
    "scenes": Reader(scenes.read, digits.SPLITS, True, "made here, from digits and photographs in scikit-learn"),
    "folder": Reader(folder.read, (), False, "split/class/image, as torchvision.datasets.ImageFolder", subsets=True),
    "cifar_ddpm": Reader(ddpm.read, ("train",), False, "Sehwag et al. 2021, arXiv:2104.09425"),
    "torchvision": Reader(from_torchvision.read, (), False, "a class of torchvision.datasets", example="Flowers102"),
    "tfds": Reader(from_tfds.read, (), False, "a data set of TensorFlow Datasets", example="caltech101"),
} | {name: Reader(version.read, ("train", "test"), False, _CIFAR) for name, version in cifar.VERSIONS.items()}


def reader(cell: str) -> Reader:
    """The reader that a cell of the sheet names, as `folder` or `torchvision/Flowers102`.

    Raises
    ------
    ValueError
        If the reader is unknown, or a data set's name is missing or too much.
    """
    name, _, dataset = cell.partition("/")
    if name not in READERS:
        raise ValueError(f"unknown reader '{name}'{suggest(name, READERS)}")
    found = READERS[name]
    if found.example and not dataset:
        raise ValueError(f"reader '{name}' needs the name of a data set, for example '{name}/{found.example}'")
    if dataset and not found.example:
        raise ValueError(f"reader '{cell}': '{name}' reads one format and takes no name of a data set")
    return replace(found, read=partial(found.read, dataset)) if dataset else found
