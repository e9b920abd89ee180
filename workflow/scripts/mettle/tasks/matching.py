"""
Which detections in an image are right, as COCO decides it; what is stored of an image so that every score follows.

Detections of a class take objects of that class in the order of their scores. Each takes the free object with which
its intersection over union (IoU) is largest, if that reaches the threshold; only where there is no such object, one
that does not count: a crowd, which is never used up, or an object outside the range of areas. A detection then does
not count either; nor does one that takes no object and is itself outside the range.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as codec

from mettle.data import masks
from mettle.data.item import Object
from mettle.tasks.scores.coco import MOST, RANGES, THRESHOLDS, in_ranges, pack, ranks

_LEAST = np.minimum(THRESHOLDS, 1 - 1e-10)


class Shapes(NamedTuple):
    """Outlines of detections or objects, all boxes or all masks.

    Attributes
    ----------
    outlines : as pycocotools takes them: boxes (n, 4) of x, y, width, height; or a list of run lengths
    areas : (n,), pixels
    """

    outlines: np.ndarray | list[dict]
    areas: np.ndarray

    def some(self, chosen: np.ndarray) -> "Shapes":
        """Those at positions."""
        outlines = self.outlines
        kept = [outlines[i] for i in chosen] if isinstance(outlines, list) else outlines[chosen]
        return Shapes(kept, self.areas[chosen])


class Outcomes(NamedTuple):
    """What became of detections, bits of `scores.coco.outcome_bits`.

    Attributes
    ----------
    hits : int64 (n,), where a detection found an object that counts
    ignored : int64 (n,), where it counts neither as right nor as wrong
    """

    hits: np.ndarray
    ignored: np.ndarray


def boxes(corners: np.ndarray) -> Shapes:
    """Shapes of boxes x0, y0, x1, y1 (n, 4), in pixels."""
    corners = np.asarray(corners, np.float64).reshape(-1, 4)
    sides = corners[:, 2:] - corners[:, :2]
    return Shapes(np.concatenate([corners[:, :2], sides], 1), sides.prod(1))


def drawn(found: np.ndarray) -> Shapes:
    """Shapes of masks, bool (n, h, w)."""
    return _coded([masks.encode(mask) for mask in found], found.shape[1:])


def annotated(objects: Sequence[Object], size: tuple[int, int]) -> Shapes | None:
    """Shapes of the masks of objects in an image of this height and width; None if one has no mask."""
    coded = [one.mask for one in objects]
    return None if None in coded else _coded(coded, size)


def _coded(counts: list[str], size: tuple[int, ...]) -> Shapes:
    outlines = [{"size": list(size), "counts": text} for text in counts]
    return Shapes(outlines, np.asarray(codec.area(outlines), np.float64).reshape(-1))


def kept(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Positions of the detections that are evaluated: the `MOST` of each class with the highest scores.

    They come by falling score, equal scores as they are given.
    """
    order = np.argsort(-scores, kind="stable")
    return order[ranks(labels[order]) < MOST]


def outcomes(labels: np.ndarray, found: Shapes, objects: Sequence[Object], shapes: Shapes) -> Outcomes:
    """What became of the detections in an image.

    Parameters
    ----------
    labels : class of each detection, by falling score
    found : their boxes or masks
    objects : the objects in the image
    shapes : their boxes or masks
    """
    made = Outcomes(np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64))
    true = np.array([one.label for one in objects])
    for label in np.unique(labels):
        mine, theirs = np.flatnonzero(labels == label), np.flatnonzero(true == label)
        crowds = np.array([objects[i].crowd for i in theirs], bool)
        overlaps = _overlaps(found.some(mine), shapes.some(theirs), crowds)
        ignored = crowds | ~in_ranges(np.array([objects[i].area for i in theirs]))
        right, left = _matched(overlaps, crowds, ignored)
        outside = ~in_ranges(found.areas[mine])
        made.hits[mine] = _packed(right)
        made.ignored[mine] = _packed(left | ~right & outside[:, None])
    return made


def _overlaps(found: Shapes, shapes: Shapes, crowds: np.ndarray) -> np.ndarray:
    """IoU (d, g); with a crowd, the part of the detection that is in it."""
    if not len(found.areas) or not len(shapes.areas):
        return np.zeros((len(found.areas), len(shapes.areas)))
    return np.asarray(codec.iou(found.outlines, shapes.outlines, crowds.astype(np.uint8)))


def _matched(overlaps: np.ndarray, crowds: np.ndarray, ignored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detections that take an object that counts, and those that take one that does not, bool (ranges, thresholds, d).

    Parameters
    ----------
    overlaps : IoU of each detection, by falling score, with each object (d, g)
    crowds : which objects are crowds (g,)
    ignored : which do not count, by range of areas (ranges, g)
    """
    right = np.zeros((len(RANGES), len(THRESHOLDS), len(overlaps)), bool)
    left = right.copy()
    free = np.ones((*right.shape[:2], len(crowds)), bool)
    counts = ~ignored[:, None]
    for place in np.flatnonzero(overlaps.max(1, initial=0) >= _LEAST[0]):
        near = free & (overlaps[place] >= _LEAST[:, None])
        right[..., place] = (near & counts).any(-1)
        left[..., place] = near.any(-1) & ~right[..., place]
        taken = _best(overlaps[place], near & (counts | ~right[..., place, None]))
        free &= ~taken | crowds
    return right, left


def _best(overlaps: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The object of largest IoU among some, the last of equals: bool like `among` (..., g), all False where it is."""
    backwards = np.where(among, overlaps, -1)[..., ::-1]
    best = overlaps.shape[0] - 1 - backwards.argmax(-1)
    return (np.arange(len(overlaps)) == best[..., None]) & among


def _packed(flags: np.ndarray) -> np.ndarray:
    return pack(flags.reshape(-1, flags.shape[-1]))


def row(
    labels: np.ndarray,
    scores: np.ndarray,
    corners: np.ndarray,
    found: np.ndarray | None,
    objects: Sequence[Object],
    size: tuple[int, int],
) -> dict[str, np.ndarray]:
    """What is stored of an image: a cell for each column of `tables.ANSWERS["detection"]`.

    Those of masks are empty where the model predicts none, or an object has none.

    Parameters
    ----------
    labels : class of each detection, integers (n,)
    scores : float32 (n,)
    corners : boxes x0, y0, x1, y1 in pixels (n, 4)
    found : masks, bool (n, h, w); None from a model that predicts none
    objects : the objects in the image
    size : height and width of the image
    """
    chosen = kept(labels, scores)
    labels = labels[chosen]
    made = {"labels": labels.astype(np.int32), "scores": scores[chosen].astype(np.float32)}
    made |= _cells("box", labels, boxes(corners[chosen]), objects, boxes(np.array([one.box for one in objects])))
    masked = annotated(objects, size) if found is not None else None
    made |= _cells("mask", labels, None if masked is None else drawn(found[chosen]), objects, masked)
    made["true_labels"] = np.array([one.label for one in objects], np.int32)
    return made | {"true_ranges": _ranges(objects)}


def _cells(
    kind: str, labels: np.ndarray, found: Shapes | None, objects: Sequence[Object], shapes: Shapes | None
) -> dict[str, np.ndarray]:
    areas, made = np.zeros(0), Outcomes(np.zeros(0, np.int64), np.zeros(0, np.int64))
    if found is not None:
        areas, made = found.areas, outcomes(labels, found, objects, shapes)
    return {f"{kind}_areas": areas.astype(np.float32), f"{kind}_hits": made.hits, f"{kind}_ignored": made.ignored}


def _ranges(objects: Sequence[Object]) -> np.ndarray:
    """Ranges of areas in which each object counts, int8 bits (n,)."""
    counts = in_ranges(np.array([one.area for one in objects])) & ~np.array([one.crowd for one in objects], bool)
    return pack(counts).astype(np.int8)
