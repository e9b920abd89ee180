"""
The twelve numbers of COCO for boxes and for masks, from the answers to images, resampled as often as one wants.

For images that are counted once they are those of `pycocotools.cocoeval`: precision is interpolated at 101 recalls,
classes without an object that counts are left out of means, and detections of equal score come in the order of the
images' ids. An image that is counted w times is as w images, of which each detection appears w times in a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from mettle.tasks.scores.coco import MOST, RECALLS, THRESHOLDS, object_bit, outcome_bits, ranks, unpack
from mettle.tasks.scores.score import Score

_AT_ONCE = 1 << 22  # weights of detections in memory


@dataclass(frozen=True)
class _Found:
    """Detections of the classes of which there are objects that count, by class and falling score.

    Attributes
    ----------
    objects : float64 (images, classes), objects of each class that count
    image : position of the image (d,)
    bounds : those of class `i` are at ``bounds[i]`` to ``bounds[i + 1]`` (classes + 1,)
    rank : detections of their image and class that come before them (d,)
    hits, ignored : bool (thresholds, d), which are right, and which do not count
    """

    objects: np.ndarray
    image: np.ndarray
    bounds: np.ndarray
    rank: np.ndarray
    hits: np.ndarray
    ignored: np.ndarray


def average_precision(
    answers: pd.DataFrame, weights: np.ndarray, kind: str, area: str, at: Sequence[int]
) -> np.ndarray:
    """Mean over classes and thresholds of the precision that is interpolated at 101 recalls.

    Parameters
    ----------
    answers : one row per image, columns `id` and those of `tables.ANSWERS["detection"]`
    weights : how often each image counts in each of b samples (b, n)
    kind : box or mask
    area : key of `coco.RANGES`
    at : positions of the thresholds in `coco.THRESHOLDS`

    Returns
    -------
    array (b,)
        In [0, 1]; NaN for a sample without an object that counts, and of masks where detections or objects have none.
    """
    if not _has(answers, kind):
        return np.full(len(weights), np.nan)
    found, weights = _found(answers, kind, area, at), _by_id(answers, weights)
    objects = weights @ found.objects
    values = np.zeros(objects.shape)
    for label, own in enumerate(map(slice, found.bounds[:-1], found.bounds[1:])):
        last = np.flatnonzero(found.hits[:, own].any(0)).max(initial=-1)  # what comes after it changes nothing
        hits, ignored, image = (of[..., own][..., : last + 1] for of in (found.hits, found.ignored, found.image))
        for rows in _parts(len(weights), len(image)):
            values[rows, label] = _interpolated(weights[rows][:, image], hits, ignored, objects[rows, label])
    return _mean(values, objects)


def average_recall(answers: pd.DataFrame, weights: np.ndarray, kind: str, area: str, most: int) -> np.ndarray:
    """Mean over classes and thresholds of the part of the objects that the first detections of an image find.

    Parameters
    ----------
    answers, weights, kind, area : as of `average_precision`
    most : number of detections per image and class

    Returns
    -------
    array (b,)
        In [0, 1]; NaN where `average_precision` is.
    """
    if not _has(answers, kind):
        return np.full(len(weights), np.nan)
    found, weights = _found(answers, kind, area, range(len(THRESHOLDS))), _by_id(answers, weights)
    label = np.repeat(np.arange(found.objects.shape[1]), np.diff(found.bounds))
    first = found.rank < most
    hits = np.zeros_like(found.objects)
    np.add.at(hits, (found.image[first], label[first]), found.hits[:, first].mean(0))
    objects = weights @ found.objects
    return _mean(weights @ hits / np.where(objects, objects, 1), objects)


def _by_id(answers: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Weights in double precision, images in the order of their ids."""
    return weights[:, np.argsort(answers["id"].to_numpy())].astype(np.float64)


def _found(answers: pd.DataFrame, kind: str, area: str, at: Sequence[int]) -> _Found:
    answers = answers.sort_values("id")
    classes, objects = _objects(answers, area)
    image, label = _joined(answers, "labels")
    order = np.lexsort((-_joined(answers, "scores")[1], label))  # stable: images and their detections keep their order
    order = order[np.isin(label[order], classes)]
    image, label = image[order], label[order].astype(np.int64)
    bits = outcome_bits(area, at)
    hits, ignored = (unpack(_joined(answers, f"{kind}_{name}")[1][order], bits) for name in ("hits", "ignored"))
    bounds = np.searchsorted(label, [*classes, np.inf])
    return _Found(objects, image, bounds, ranks(label * len(answers) + image), hits, ignored)


def _has(answers: pd.DataFrame, kind: str) -> bool:
    """Whether all detections have outcomes by their boxes, or by their masks."""
    pairs = zip(answers[f"{kind}_hits"], answers["labels"], strict=True)
    return all(len(hits) == len(labels) for hits, labels in pairs)


def _objects(answers: pd.DataFrame, area: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the objects that count in an area range, and their number in each image (images, classes)."""
    image, label = _joined(answers, "true_labels")
    counts = unpack(_joined(answers, "true_ranges")[1], [object_bit(area)])[0]
    classes, place = np.unique(label[counts], return_inverse=True)
    found = np.zeros((len(answers), len(classes)))
    np.add.at(found, (image[counts], place), 1)
    return classes, found


def _joined(answers: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images, and the values, of a column of lists, all in one."""
    lists = answers[name].to_list()
    return np.repeat(np.arange(len(lists)), [len(one) for one in lists]), np.concatenate(lists)


def _parts(rows: int, width: int) -> Iterator[slice]:
    """Slices of the rows of a matrix with so many columns."""
    step = max(1, _AT_ONCE // max(width, 1))
    return (slice(row, row + step) for row in range(0, rows, step))


def _interpolated(weights: np.ndarray, hits: np.ndarray, ignored: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Mean over thresholds of the precision of one class, interpolated at 101 recalls (b,).

    Parameters
    ----------
    weights : of the detections, by falling score (b, d)
    hits, ignored : bool (thresholds, d)
    objects : weight of the objects that count (b,)
    """
    wrong = ~hits.any(0) & ~ignored.any(0)  # at every threshold: summed up once
    depends = ~wrong & ~ignored.all(0)
    before = np.cumsum(weights * wrong, axis=1)[:, depends]
    own = weights[:, depends]
    total = np.zeros(len(weights))
    for right, out in zip(hits[:, depends], ignored[:, depends], strict=True):
        true = np.cumsum(own * right, axis=1)[:, right]
        seen = (before + np.cumsum(own * ~out, axis=1))[:, right]
        total += _area(true, seen, objects)
    return total / len(hits)


def _area(true: np.ndarray, seen: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Mean over 101 recalls of the largest precision at this recall or a higher one (b,).

    Precision falls between right detections, so that those are the only points of the curve that matter.

    Parameters
    ----------
    true, seen : weights of the right detections and of all up to each right one (b, points)
    objects : weight of the objects (b,)
    """
    precision = true / (seen + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = true / np.where(objects, objects, 1)[:, None]
    reached = np.searchsorted(RECALLS, recall, side="right")
    return (np.diff(reached, axis=1, prepend=0) * best).sum(1) / len(RECALLS)


def _mean(values: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Mean over the classes of which a sample has objects (b,), NaN where there is none."""
    counts = (objects > 0).sum(1)
    return np.where(counts, (values * (objects > 0)).sum(1) / np.maximum(counts, 1), np.nan)


def _scores(kind: str, shapes: str) -> Iterator[Score]:
    every, half, three_quarters = range(len(THRESHOLDS)), [0], [5]
    precisions = {"": ("all", every, "IoU 0.50 to 0.95"), "50": ("all", half, "IoU 0.50")}
    precisions |= {"75": ("all", three_quarters, "IoU 0.75")}
    precisions |= {f"_{area}": (area, every, f"{area} objects") for area in _SIZES}
    for name, (area, at, what) in precisions.items():
        of = partial(average_precision, kind=kind, area=area, at=at)
        yield Score(f"{kind}_ap{name}", f"average precision of {shapes}, {what}", of, _reason(kind, area))
    recalls = {str(most): ("all", most, f"{most} detections a class and image") for most in (1, 10, MOST)}
    recalls |= {f"_{area}": (area, MOST, f"{area} objects") for area in _SIZES}
    for name, (area, most, what) in recalls.items():
        of = partial(average_recall, kind=kind, area=area, most=most)
        yield Score(f"{kind}_ar{name}", f"average recall of {shapes}, {what}", of, _reason(kind, area))


def _reason(kind: str, area: str) -> str:
    """Why a score may be undefined."""
    size = "" if area == "all" else f" of the range '{area}' of areas"
    masks = "the model predicts no masks, objects of the data set have none, or " if kind == "mask" else ""
    return f"{masks}no image has an object{size}"


_SIZES = ("small", "medium", "large")
DETECTION = {score.measure: score for kind in (("box", "boxes"), ("mask", "masks")) for score in _scores(*kind)}
