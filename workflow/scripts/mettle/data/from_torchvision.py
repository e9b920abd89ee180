"""
Classification sets of torchvision, by the name of their class: `torchvision/CIFAR10`, `torchvision/Flowers102`.

torchvision decodes the files, so images become lossless PNG of the pixels. Nothing is downloaded.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mettle.data.item import Item, check_classes, png
from mettle.schema import suggest

SPLITS = ("train", "test")
_BLOCK = 5  # images, of which one is held out where there is no official split
_SPLIT_SEED = 0  # a constant: the split is part of the data set, whatever the seed of an experiment


def read(name: str, source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of one split in torchvision's order.

    The split goes to torchvision as `train=` or `split=`, whichever the class has. A class with neither, such as
    Caltech101, is split here: of every five consecutive images one, drawn with a fixed seed, is `test`, the others
    are `train`. Such sets are sorted by class, so that every class is split alike.

    Parameters
    ----------
    name : class of torchvision.datasets
    source : folder that is given to it as `root`
    split : name of the split, as torchvision has it
    classes : number of classes that there must be
    seed : changes nothing

    Raises
    ------
    ValueError
        If torchvision has no such class or split, the data are not there or damaged, are not colour images with one
        label each, or have another number of classes.
    """
    where = f"torchvision's {name}, split '{split}'"
    dataset, positions = _open(name, source, split, where)
    names = _names(dataset)
    if names:
        check_classes(len(names), classes, where)
    return _items(dataset, positions, names, classes, where)


def held_out(n: int) -> np.ndarray:
    """Whether each of n images belongs to `test`, bool (n,): one of every full block of five."""
    test = np.zeros(n, bool)
    blocks = n // _BLOCK
    test[np.arange(blocks) * _BLOCK + np.random.default_rng(_SPLIT_SEED).integers(_BLOCK, size=blocks)] = True
    return test


def _open(name: str, source: Path, split: str, where: str) -> tuple[Any, np.ndarray]:
    """A torchvision data set, and the positions in it that belong to a split."""
    kind = _kind(name)
    known = inspect.signature(kind.__init__).parameters
    if "split" not in known and split not in SPLITS:
        raise ValueError(f"{where}: the splits are {', '.join(SPLITS)}")
    chosen = {"train": split == "train"} if "train" in known else {"split": split} if "split" in known else {}
    try:
        dataset = kind(str(source), **chosen)  # `download` is off by default
    except Exception as error:  # every class of torchvision raises its own kinds of errors
        call = f'{kind.__name__}("{source}", download=True)'
        how = f"; to get it: from torchvision.datasets import {name}; {call}" if "download" in known else ""
        raise ValueError(f"{source} does not hold {where}: {' '.join(str(error).split())}{how}") from error
    if chosen:
        return dataset, np.arange(len(dataset))
    return dataset, np.flatnonzero(held_out(len(dataset)) == (split == "test"))


def _kind(name: str) -> type:
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if not inspect.isclass(kind):
        raise ValueError(f"torchvision has no data set '{name}'{suggest(name, datasets.__all__)}")
    return kind


def _names(dataset: Any) -> list[str]:
    """Names of the classes; none if torchvision has none."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None) or []
    return [name if isinstance(name, str) else ", ".join(map(str, name)) for name in names]


def _items(dataset: Any, positions: np.ndarray, names: list[str], classes: int, where: str) -> Iterator[Item]:
    seen = set()
    for position in positions.tolist():
        here = f"{where}, image {position}"
        array, label = _example(dataset, position, here, colour=not seen)
        if not 0 <= label < classes:
            raise ValueError(f"{here}: label {label} is out of range 0..{classes - 1}")
        seen.add(label)
        yield Item(png(array), label, names[label] if names else str(label), here)
    if not names:  # then the number of classes follows from the labels alone
        check_classes(len(seen), classes, where)


def _example(dataset: Any, position: int, here: str, colour: bool) -> tuple[np.ndarray, int]:
    """Pixels, uint8 (h, w, 3), and label. A grey image among colour ones gets three equal channels."""
    try:
        image, label = dataset[position]
    except Exception as error:  # PIL and torchvision raise a dozen kinds of errors for damaged files
        raise ValueError(f"{here} cannot be read: {error}") from error
    mode = getattr(image, "mode", type(image).__name__)
    if mode != "RGB" and (colour or mode != "L"):
        raise ValueError(f"{here} is of mode '{mode}', but only images with three channels are taken")
    if not isinstance(label, int | np.integer):
        raise ValueError(f"{here} has a {type(label).__name__} for a label, not the index of a class")
    return np.asarray(image.convert("RGB")), int(label)
