"""Images in one folder whose names end in a number and a label, as foolbox carries some of five data sets."""

import re
from collections.abc import Iterator
from pathlib import Path

from mettle.data.item import Item
from mettle.data.reading import in_order, read_image


def read(source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images `source/{split}_{number}_{label}.{ending}` in the order of their numbers; other files are left alone.

    Parameters
    ----------
    source : folder
    split : first part of the names of its files, such as `imagenet` or `cifar10`
    classes : number of classes
    seed : changes nothing

    Raises
    ------
    ValueError
        If the folder has no such files, two have one number, a label is out of range, or a file is not one picture.
    """
    pattern = re.compile(rf"{re.escape(split)}_(\d+)_(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)
    if not source.is_dir():
        raise ValueError(f"{source} is no folder")
    found = {path: match for path in sorted(source.iterdir()) if (match := pattern.fullmatch(path.name))}
    if not found:
        raise ValueError(f"{source} holds no images {split}_NUMBER_LABEL.png or .jpg")
    by_number: dict[int, Path] = {}
    for path, match in found.items():
        if (other := by_number.setdefault(int(match[1]), path)) != path:
            raise ValueError(f"{source}: {other.name} and {path.name} have one number")
        if int(match[2]) >= classes:
            raise ValueError(
                f"{path} has label {int(match[2])}, but labels of {classes} classes are 0 to {classes - 1}"
            )
    paths = [by_number[number] for number in sorted(by_number)]
    return in_order(_item, [(path, int(found[path][2])) for path in paths])


def _item(file: tuple[Path, int]) -> Item:
    path, label = file
    return Item(read_image(path), label, str(label), path.name)
