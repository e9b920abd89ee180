"""
NYU Depth v2 as monocular depth estimation uses it: the archive with `nyu_train.txt` and `nyu_test.txt`.

A line of a list has the paths of an image and of its depth map, and a focal length, which is not used. A depth map is a
PNG of 16 bits in millimetres. Lines with `None` in its place are left out.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from mettle import text
from mettle.data.item import MILLIMETRE, Item, Targets
from mettle.data.reading import below, in_order, read_image, read_map

SPLITS = ("train", "test")
Say = Callable[[str], None]
_LIST = "nyu_{split}.txt"


def read(
    source: Path, split: str, classes: int | None, seed: int, unit: float = MILLIMETRE, say: Say = lambda line: None
) -> Iterator[Item]:
    """Images of one split with their depth, in the order of the list; `classes` and `seed` change nothing.

    Parameters
    ----------
    source : folder `nyu` of the archive
    split : train or test
    unit : what a step of the depth maps stands for, metres
    say : writes a line of the log

    Raises
    ------
    ValueError
        If the list is missing or damaged, names an image twice, or a file that is missing or lies elsewhere, or if a
        file cannot be read.
    """
    return in_order(partial(depth_item, source, unit), listed(source, split, say))


def listed(source: Path, split: str, say: Say = lambda line: None) -> list[tuple[Path, Path]]:
    """Images and depth maps that the list of a split names, except those without depth. Raises as `read`."""
    path = source / _LIST.format(split=split)
    if not path.is_file():
        raise ValueError(f"{path} is missing: it lists the images and depth maps of the split")
    pairs, skipped, seen = [], 0, {}
    for number, line in enumerate(text.read(path).split("\n"), 1):
        cells, where = line.split(), f"{path}, line {number}"
        if not cells:
            continue
        if len(cells) < 2:
            raise ValueError(f"{where}: has one cell, '{cells[0]}', but needs the paths of an image and of a depth map")
        if cells[1] == "None":
            skipped += 1
            continue
        if (first := seen.setdefault(cells[0], number)) != number:
            raise ValueError(f"{where}: names {cells[0]}, as line {first} does: remove one of them")
        pairs.append(tuple(below(source, cell, where) for cell in cells[:2]))
    if skipped:
        say(f"{skipped} of {skipped + len(pairs)} lines of {path.name} name no depth map and are left out")
    return pairs


def depth_item(source: Path, unit: float, paths: tuple[Path, Path]) -> Item:
    """An image with its depth map; paths in messages and in the manifest are those below `source`."""
    image, depth = paths
    targets = Targets(depth=read_map(depth).astype("uint16"), depth_unit=unit)
    return Item(read_image(image), None, "", image.relative_to(source).as_posix(), targets=targets)


def arrange(source: Path, splits: Iterable[str], folder: Path, say: Say = lambda line: None) -> int:
    """Copy images and depth maps to where mmsegmentation looks for them; returns the number of pairs.

    `scene_0001/rgb_00045.jpg` becomes `images/train/scene_0001_00045.jpg`, its depth map
    `annotations/train/scene_0001_00045.png`. The source stays as it is.

    Raises
    ------
    ValueError
        As `read`; or if two files would get one name.
    """
    made: set[Path] = set()
    for split in splits:
        for image, depth in listed(source, split, say):
            targets = [
                folder / kind / split / _flat(path.relative_to(source).as_posix())
                for kind, path in (("images", image), ("annotations", depth))
            ]
            for path, target in zip((image, depth), targets, strict=True):
                if target in made:
                    raise ValueError(f"{path} would be copied to {target}, where another file is: rename one of them")
                made.add(target)
                _copy(path, target)
    return len(made) // 2


def _flat(name: str) -> str:
    return name.replace("/rgb", "").replace("/sync_depth", "").replace("/", "_")


def _copy(path: Path, target: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is listed, but missing")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
