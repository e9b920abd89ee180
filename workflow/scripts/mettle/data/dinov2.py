"""
The arrays that DINOv2 reads beside the images of an ImageNet-like folder, its `extra` folder.

DINOv2 (Oquab et al. 2023, arXiv:2304.07193) makes the path of an image from a row of `entries-{SPLIT}.npy`. Its own
script writes these only for all of ImageNet, and fails for the test split under NumPy 2.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mettle import text
from mettle.data.classes import class_folders

NO_CLASS = 2**32 - 1  # class_index of an image without a class
_FILE = {
    "train": "{class_id}_{index}.JPEG",
    "val": "ILSVRC2012_val_{index:08d}.JPEG",
    "test": "ILSVRC2012_test_{index:08d}.JPEG",
}
_LAST = re.compile(r"_(\d+)\.JPEG$")


def read_labels(path: Path) -> dict[str, str]:
    """Name of each class folder by `labels.txt`, with a folder, a comma and a name per line; empty if it is missing."""
    if not path.is_file():
        return {}
    pairs = [line.partition(",") for line in text.read(path).split("\n") if line.strip()]
    return {folder.strip(): name.strip() for folder, _, name in pairs}


def write(source: Path, split: str, names: Mapping[str, str], folder: Path) -> int:
    """Write the arrays of one split; returns the number of images.

    Parameters
    ----------
    source : folder with `train/<class>/*.JPEG`, `val/<class>/*.JPEG` or `test/*.JPEG`, all of ImageNet's images or some
    split : train, val or test
    names : name of each class folder; a class without one is named by its folder
    folder : for the arrays

    Raises
    ------
    ValueError
        If the split is unknown, there are no images, or DINOv2 would look for an image under another name.
    """
    if split not in _FILE:
        raise ValueError(f"split '{split}' is unknown to DINOv2: rename the folder to one of {', '.join(_FILE)}")
    labelled = split != "test" and (source / split).is_dir()
    classes = [path.name for path in class_folders(source / split)] if labelled else []
    rows = [
        row for label, name in enumerate(classes) for row in _rows(source, split, name, label, names.get(name, name))
    ]
    rows += _rows(source, split, "", NO_CLASS, "") if split == "test" else []
    if not rows:
        raise ValueError(f"{source / split} holds no images: DINOv2 reads <class>/*.JPEG there, and *.JPEG for test")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"entries-{split.upper()}.npy", _entries(rows))
    if classes:
        np.save(folder / f"class-ids-{split.upper()}.npy", np.array(classes))
        np.save(folder / f"class-names-{split.upper()}.npy", np.array([names.get(name, name) for name in classes]))
    return len(rows)


def _entries(rows: list[tuple[int, int, str, str]]) -> np.ndarray:
    """The rows as DINOv2 reads them, with strings of the length of the longest."""
    ids, names = (max(len(row[place]) for row in rows) for place in (2, 3))
    kinds = {"actual_index": "<u4", "class_index": "<u4", "class_id": f"<U{ids}", "class_name": f"<U{names}"}
    return np.array(rows, np.dtype(list(kinds.items())))


def _rows(source: Path, split: str, folder: str, label: int, name: str) -> list[tuple[int, int, str, str]]:
    """Number in the file name, class index, class folder and class name of each image of a class, by file name."""
    found = []
    for path in sorted((source / split / folder).glob("[!.]*")):
        number = _LAST.search(path.name)
        if not number or path.name != _FILE[split].format(class_id=folder, index=int(number[1])):
            example = _FILE[split].format(class_id=folder, index=1)
            raise ValueError(f"{path}: DINOv2 only finds images that are named like {example} there: rename it")
        found.append((int(number[1]), label, folder, name))
    return found
