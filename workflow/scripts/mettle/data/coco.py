"""
Objects as COCO annotates them: `annotations/instances_{split}.json` beside the images in `{split}/`.

Labels count the categories from 0 in the order of their ids, which may have gaps. Images without objects are kept, and
so are crowds, marked as such.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mettle.data import masks, runs
from mettle.data.item import Item, Object, Targets, check_classes
from mettle.data.pixels import size_of
from mettle.data.reading import below, in_order, read_image
from mettle.data.targets import check_object

Row = dict[str, Any]

# Annotations of train2017 (and of train2014) whose box has no height, by id, with their images: both are left out.
_FAULTY = {918: 200365, 2206849: 550395}


def read(
    source: Path, split: str, classes: int, seed: int, say: Callable[[str], None] = lambda line: None
) -> Iterator[Item]:
    """Images of one split with their objects, in the order of the images' ids; `seed` changes nothing.

    Parameters
    ----------
    source : folder with `annotations` and the folders of images
    split : `train2017`, `val2017`, or any other with annotations
    classes : number of categories
    say : writes a line of the log

    Raises
    ------
    ValueError
        If the annotations are missing or damaged, an id appears twice, an annotation names an image or category that
        does not exist, a mask, box or area is impossible, or an image is missing or of another size; the message names
        file and annotation.
    """
    path = _path(source, split)
    content = _content(path)
    images, categories = (_by_id(content[key], path, key) for key in ("images", "categories"))
    check_classes(len(categories), classes, path)
    labels = {category: label for label, category in enumerate(sorted(categories))}
    found = _of_images(content["annotations"], images, labels, path, say)
    where = (source, split, labels, path)
    return in_order(partial(_item, *where), [(images[number], found[number]) for number in sorted(images)])


def names(source: Path, split: str) -> list[str]:
    """Names of the categories in the order of the labels."""
    path = _path(source, split)
    categories = _by_id(_content(path)["categories"], path, "categories")
    return [categories[category]["name"] for category in sorted(categories)]


def _path(source: Path, split: str) -> Path:
    return source / "annotations" / f"instances_{split}.json"


def _content(path: Path) -> Row:
    if not path.is_file():
        raise ValueError(f"{path} is missing: it holds the objects of the split's images")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:  # of text, or of JSON
        raise ValueError(f"{path} is not JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path} has no list '{key}': annotations of objects in COCO's format have one")
    return content


def _by_id(rows: Iterable[Row], path: Path, key: str) -> dict[int, Row]:
    rows = list(rows)
    if twice := [number for number, count in Counter(row["id"] for row in rows).items() if count > 1]:
        raise ValueError(f"{path}: id {twice[0]} appears twice in '{key}'")
    return {row["id"]: row for row in rows}


def _of_images(
    annotations: list[Row], images: dict[int, Row], labels: dict[int, int], path: Path, say: Callable[[str], None]
) -> dict[int, list[Row]]:
    """Annotations of each image, in the order of the file."""
    found: dict[int, list[Row]] = {number: [] for number in images}
    for number, row in _by_id(annotations, path, "annotations").items():
        where = f"{path}: annotation {number}"
        if row["image_id"] not in images:
            raise ValueError(f"{where} is of image {row['image_id']}, which is not among the file's images: remove it")
        if row["category_id"] not in labels:
            raise ValueError(f"{where} is of category {row['category_id']}, which is not among the file's categories")
        if _FAULTY.get(number) == row["image_id"] and row["bbox"][3] == 0:
            say(f"left out: annotation {number} of image {row['image_id']}, whose box has no height")
        else:
            found[row["image_id"]].append(row)
    return found


def _item(source: Path, split: str, labels: dict[int, int], path: Path, rows: tuple[Row, list[Row]]) -> Item:
    image, annotations = rows
    file = below(source / split, image["file_name"], f"{path}: image {image['id']}")
    data = read_image(file)
    size = (image["height"], image["width"])
    if (found := size_of(data)) != size[::-1]:
        raise ValueError(
            f"{file} has {found[0]}x{found[1]} pixels, but the objects in {path} are for {size[1]}x{size[0]}: take the "
            "image that was annotated"
        )
    objects = [_object(row, labels, size, f"{path}: annotation {row['id']}") for row in annotations]
    return Item(data, None, "", file.relative_to(source).as_posix(), targets=Targets(objects=objects))


def _object(row: Row, labels: dict[int, int], size: tuple[int, int], where: str) -> Object:
    x, y, width, height = row["bbox"]
    try:
        mask = masks.from_segmentation(row["segmentation"], size) if "segmentation" in row else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    area = row["area"] if "area" in row else width * height if mask is None else runs.area(mask)
    made = Object(labels[row["category_id"]], (x, y, x + width, y + height), area, mask, bool(row.get("iscrowd", 0)))
    check_object(made, len(labels), size, where)
    return made
