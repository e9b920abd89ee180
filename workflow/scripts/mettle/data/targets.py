"""
Targets beyond a label: a class for every pixel, a distance for every pixel, the objects in an image.

A store holds them beside its images, in `{split}.targets.lmdb`, one database per kind, under the ids of the images:

- `label_map`: the class of every pixel, a lossless PNG in grey of 8 or 16 bits;
- `depth`: the distance of every pixel, a PNG of 16 bits in steps of the manifest's `depth_unit`, 0 where there is none;
- `objects`: JSON text with class, box, area, mask and crowd flag of each object, masks as COCO's run lengths.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from mettle.data import runs
from mettle.data.item import MILLIMETRE, Object, Targets, png

# Names of the targets of each task in a store; a label is in the manifest.
KINDS = {"segmentation": "label_map", "depth": "depth", "detection": "objects"}
_OUTSIDE = 1  # pixels by which a box may leave its image: published boxes are rounded


@dataclass(frozen=True)
class Expected:
    """
    The targets that every image of a data set must have.

    Attributes
    ----------
    kinds : those that every image has, some of `KINDS`
    classes : number of classes of objects
    map_classes : number of classes of label maps
    ignore : value of ignored pixels in label maps; None if every pixel counts
    depth_range : shortest and longest distance that counts, metres; None for any
    depth_crop : first row, row after the last, first column and column after the last of the part of depth maps that
        counts in evaluation; None for all of it
    """

    kinds: tuple[str, ...] = ()
    classes: int | None = None
    map_classes: int | None = None
    ignore: int | None = None
    depth_range: tuple[float, float] | None = None
    depth_crop: tuple[int, int, int, int] | None = None


NONE = Expected()


def only(targets: Targets | None, kinds: Sequence[str]) -> Targets | None:
    """Targets without those of other kinds."""
    others = dict.fromkeys(set(KINDS.values()) - set(kinds))
    return replace(targets, **others) if targets else None


def encode(targets: Targets, size: tuple[int, int]) -> dict[str, bytes]:
    """Bytes of each kind of targets, as they are stored, for an image of this height and width."""
    made = {}
    if targets.label_map is not None:
        made["label_map"] = png(targets.label_map)
    if targets.depth is not None:
        made["depth"] = png(targets.depth)
    if targets.objects is not None:
        content = {"size": list(size), "objects": [asdict(found) for found in targets.objects]}
        made["objects"] = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return made


def decode_label_map(data: bytes) -> np.ndarray:
    """Class of each pixel, uint8 or uint16 (h, w)."""
    return np.asarray(Image.open(BytesIO(data)))


def decode_depth(data: bytes, unit: float) -> np.ndarray:
    """Distance of each pixel in metres, float32 (h, w); 0 where there is none. `unit` is that of a step, metres."""
    return (np.asarray(Image.open(BytesIO(data))) * np.float64(unit)).astype(np.float32)


def in_range(metres: np.ndarray, bounds: Sequence[float] | None) -> np.ndarray:
    """Where a depth map (h, w) in metres has a distance, and one within bounds, both of which count: bool (h, w)."""
    if bounds is None:
        return metres > 0
    low, high = np.float32(bounds)
    return (metres > 0) & (metres >= low) & (metres <= high)


def decode_objects(data: bytes) -> list[Object]:
    """The objects of an image."""
    return [Object(**found | {"box": tuple(found["box"])}) for found in json.loads(data)["objects"]]


def masks_of(objects: list[Object], size: tuple[int, int]) -> np.ndarray:
    """Masks of objects, bool (objects, h, w); that of an object without one is its box."""
    found = np.zeros((len(objects), *size), bool)
    for mask, one in zip(found, objects, strict=True):
        if one.mask is not None:
            mask[:] = runs.decode(one.mask, size)
        else:
            x0, y0, x1, y1 = (round(edge) for edge in one.box)
            mask[y0:y1, x0:x1] = True
    return found


def kinds_of(targets: Targets | None) -> tuple[str, ...]:
    """Kinds of the given targets, in the order of `KINDS`."""
    return tuple(kind for kind in KINDS.values() if getattr(targets, kind, None) is not None)


def steps(metres: np.ndarray, unit: float = MILLIMETRE) -> np.ndarray:
    """Distances in metres (h, w) in steps of a unit, rounded to uint16; 0 for 0.

    Raises
    ------
    ValueError
        If a distance is not in the range of 16 bits.
    """
    counted = np.round(np.asarray(metres, np.float64) / unit)
    if not ((counted >= 0) & (counted <= 65535)).all():
        raise ValueError(f"distances of {np.min(metres):g} to {np.max(metres):g} m do not fit into 65535 x {unit:g} m")
    return counted.astype(np.uint16)


def check(targets: Targets | None, expected: Expected, size: tuple[int, int], where: str) -> None:
    """Raise ValueError, a sentence that begins with `where`, unless the targets are as expected of their data set.

    Parameters
    ----------
    targets : of one image
    expected : of the data set
    size : height and width of the image
    where : the image, for the message
    """
    kinds = kinds_of(targets)
    if kinds != expected.kinds:
        raise ValueError(f"{where}: has {_listed(kinds)}, but its data set has {_listed(expected.kinds)}")
    if targets is None:
        return
    if targets.label_map is not None:
        _check_map(targets.label_map, expected, size, where)
    if targets.depth is not None:
        _check_depth(targets, expected, size, where)
    for number, found in enumerate(targets.objects or []):
        check_object(found, expected.classes, size, f"{where}: object {number}")


def check_object(found: Object, classes: int | None, size: tuple[int, int], where: str) -> None:
    """Raise ValueError if an object's class, box or area is impossible; `size` is height and width of the image."""
    (height, width), (x0, y0, x1, y1) = size, found.box
    box = f"its box from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g})"
    if found.label < 0 or (classes is not None and found.label >= classes):
        raise ValueError(f"{where}: label {found.label} is out of range 0..{'' if classes is None else classes - 1}")
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"{where}: {box} has no area: remove the object, or correct its box")
    if min(x0, y0) < -_OUTSIDE or x1 > width + _OUTSIDE or y1 > height + _OUTSIDE:
        raise ValueError(
            f"{where}: {box} leaves its image of {width}x{height} pixels: are boxes x, y, width, height in pixels of "
            "this image?"
        )
    if not found.area > 0:
        raise ValueError(f"{where}: its area is {found.area:g}: remove the object, or correct its mask")


def _check_map(labels: np.ndarray, expected: Expected, size: tuple[int, int], where: str) -> None:
    _check_size(labels, size, where, "label map")
    if expected.map_classes is None:
        return
    values = np.flatnonzero(np.bincount(labels.ravel()))
    wrong = values[(values >= expected.map_classes) & (values != expected.ignore)]
    if len(wrong):
        row, column = np.argwhere(labels == wrong[0])[0]
        raise ValueError(
            f"{where}: label {wrong[0]} of its label map, at row {row}, column {column}, is out of range "
            f"0..{expected.map_classes - 1}: correct the number of classes in config/datasets.tsv, or name the value "
            "of ignored pixels in column `ignore`"
        )


def _check_depth(targets: Targets, expected: Expected, size: tuple[int, int], where: str) -> None:
    _check_size(targets.depth, size, where, "depth map")
    if not targets.depth.any():
        raise ValueError(f"{where}: its depth map is 0 everywhere, so no pixel has a distance: leave the image out")
    metres = (targets.depth * np.float64(targets.depth_unit)).astype(np.float32)
    if not in_range(metres, expected.depth_range).any():
        known = metres[metres > 0]
        low, high = expected.depth_range
        raise ValueError(
            f"{where}: its depth map has distances from {known.min():g} to {known.max():g} m, none of them from "
            f"{low:g} to {high:g}: leave the image out, or correct depth_min, depth_max or depth_unit in "
            "config/datasets.tsv"
        )


def _check_size(array: np.ndarray, size: tuple[int, int], where: str, what: str) -> None:
    if array.shape != size:
        (height, width), (rows, columns) = size, array.shape
        raise ValueError(
            f"{where}: its {what} has {columns}x{rows} pixels, but the image has {width}x{height}: give the two one "
            "size, or look whether the files are paired right"
        )


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(kind.replace("_", " ") for kind in kinds) or "no targets"
