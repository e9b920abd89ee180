"""
Semantic segmentation in folders as those of Pascal VOC: a data set of a user's own, or VOC itself.

`JPEGImages/*` beside `SegmentationClass/*.png`; `ImageSets/Segmentation/{split}.txt` lists the images of a split by
name, without the ending. Label maps are PNG in grey or with a palette; their numbers are the classes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mettle.data.item import Item, Targets
from mettle.data.lists import read_list
from mettle.data.reading import in_order, read_image, read_map

_LIST, _IMAGES, _MAPS = "ImageSets/Segmentation", "JPEGImages", "SegmentationClass"


def read(source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of one split with their label maps, in the order of the split's list; `classes`, `seed` change nothing.

    Raises
    ------
    ValueError
        If the list is missing or damaged, a name has no image, several, or no label map, or a file cannot be read.
    """
    listed = source / _LIST / f"{split}.txt"
    images: dict[str, list[Path]] = {}
    for path in sorted((source / _IMAGES).glob("[!.]*")):
        images.setdefault(path.stem, []).append(path)
    pairs = [_pair(source, images, name, listed) for name in read_list(listed)]
    return in_order(partial(_item, source), pairs)


def _pair(source: Path, images: dict[str, list[Path]], name: str, listed: Path) -> tuple[Path, Path]:
    found, labels = images.get(name, []), source / _MAPS / f"{name}.png"
    if len(found) != 1:
        raise ValueError(f"{listed} lists '{name}', but {source / _IMAGES} holds {len(found)} images of that name")
    if not labels.is_file():
        raise ValueError(f"{listed} lists '{name}', but there is no {labels}")
    return found[0], labels


def _item(source: Path, paths: tuple[Path, Path]) -> Item:
    image, labels = paths
    targets = Targets(read_map(labels))
    return Item(read_image(image), None, "", image.relative_to(source).as_posix(), targets=targets)
