"""The readers by name: each turns a published data set into items for a store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mettle.data import (
    ade20k,
    cifar,
    coco,
    ddpm,
    depth_folder,
    digits,
    folder,
    from_tfds,
    from_torchvision,
    numbered,
    nyu,
    pascal,
    scenes,
    streets,
)
from mettle.data.item import Item
from mettle.schema import suggest


@dataclass(frozen=True)
class Reader:
    """A way to read a data set.

    Attributes
    ----------
    read : (source, split, classes, seed) to the split's items in a fixed order; also `subset` if `subsets`, and the
        `options`
    splits : names of the splits; empty if the source decides
    generated : whether it needs no source
    reference : paper, or the format
    example : for a reader of many data sets, one of them; `read` then takes the data set's name first
    subsets : whether it can be restricted to a list of classes or files
    tasks : tasks that its items have targets for
    options : `unit` if it takes that of depth maps, `say` if it writes to the log
    names : (source, split) to the names of the classes, if the source has them apart from its items
    """

    read: Callable[..., Iterator[Item]]
    splits: tuple[str, ...]
    generated: bool
    reference: str
    example: str = ""
    subsets: bool = False
    tasks: tuple[str, ...] = ("classification",)
    options: tuple[str, ...] = ()
    names: Callable[[Path, str], list[str]] | None = None


_MAPS, _OBJECTS, _DEPTH = ("segmentation",), ("detection",), ("depth",)
_PASCAL = "Everingham et al. 2010, doi:10.1007/s11263-009-0275-4"
_ADE20K = "Zhou et al. 2017, doi:10.1109/CVPR.2017.544"
_COCO = "Lin et al. 2014, arXiv:1405.0312"
_NYU = "Silberman et al. 2012, doi:10.1007/978-3-642-33715-4_54"
_FOLDERS = "images/split and annotations/split, as mmsegmentation has NYU Depth v2"
_HERE = "made here, from digits and photographs in scikit-learn"
_CIFAR = "Krizhevsky 2009, Learning multiple layers of features from tiny images"

READERS = {
    "digits": Reader(digits.read, digits.SPLITS, True, "Alpaydin & Kaynak 1998, doi:10.24432/C50P49"),
    "scenes": Reader(scenes.read, digits.SPLITS, True, _HERE),
    "streets": Reader(streets.read, streets.SPLITS, True, _HERE, tasks=streets.TASKS, names=streets.names),
    "folder": Reader(folder.read, (), False, "split/class/image, as torchvision.datasets.ImageFolder", subsets=True),
    "numbered": Reader(numbered.read, (), False, "split_number_label.png in one folder, as foolbox has images"),
    "pascal": Reader(pascal.read, (), False, _PASCAL, tasks=_MAPS),
    "ade20k": Reader(ade20k.read, ade20k.SPLITS, False, _ADE20K, tasks=_MAPS, names=ade20k.names),
    "coco": Reader(coco.read, (), False, _COCO, tasks=_OBJECTS, options=("say",), names=coco.names),
    "nyu": Reader(nyu.read, nyu.SPLITS, False, _NYU, tasks=_DEPTH, options=("unit", "say")),
    "depth_folder": Reader(depth_folder.read, (), False, _FOLDERS, tasks=_DEPTH, options=("unit",)),
    "cifar_ddpm": Reader(ddpm.read, ("train",), False, "Sehwag et al. 2021, arXiv:2104.09425"),
    "torchvision": Reader(from_torchvision.read, (), False, "a class of torchvision.datasets", example="Flowers102"),
    "tfds": Reader(from_tfds.read, (), False, "a data set of TensorFlow Datasets", example="caltech101"),
} | {name: Reader(version.read, ("train", "test"), False, _CIFAR) for name, version in cifar.VERSIONS.items()}


def reader(cell: str) -> Reader:
    """The reader that a cell of the sheet names, as `folder` or `torchvision/Flowers102`.

    Raises
    ------
    ValueError
        If the reader is unknown, or the name of a data set is missing or superfluous.
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
