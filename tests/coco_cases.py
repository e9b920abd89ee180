"""Made-up objects and detections with everything that COCO's evaluation tells apart, and pycocotools beside ours."""

import contextlib
import io
from dataclasses import dataclass, replace

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mettle.data import masks
from mettle.data.item import Object

SIZE = (150, 170)
EDGES = (4, 20, 40, 110, 149)  # so that areas are in all ranges


@dataclass(frozen=True)
class Image:
    """An image: its objects, and what was detected in it."""

    objects: list[Object]
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


def images(seed, number=14, classes=4, detections=30, levels=12):
    """Random images, one without objects, one without detections, crowds, ties in scores, areas on the borders."""
    rng = np.random.default_rng(seed)
    made = [image(rng, classes, rng.integers(1, 9), detections, levels) for _ in range(number)]
    made[1] = replace(made[1], objects=[])
    made[2] = replace(made[2], **{name: getattr(made[2], name)[:0] for name in ("labels", "scores", "boxes", "masks")})
    return made


def image(rng, classes, objects, detections, levels):
    shapes = [box(rng) for _ in range(objects)]
    true = [object_of(rng, found, classes - 1) for found in shapes]  # nothing is of the last class
    labels, boxes = [], []
    for _ in range(detections):
        near = rng.integers(objects)
        close = rng.random() < 0.7
        labels.append(true[near].label if close and rng.random() < 0.9 else rng.integers(classes))
        boxes.append(shaken(rng, shapes[near]) if close else box(rng))
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = (rng.integers(1, levels, detections) / levels).astype(np.float32)
    return Image(true, np.array(labels, np.int64), scores, boxes, np.stack([filled(one) for one in boxes]))


def box(rng):
    edge = rng.choice(EDGES) * rng.choice([1, rng.uniform(0.7, 1)], size=2)
    corner = rng.uniform(0, np.array(SIZE[::-1]) - edge)
    return np.concatenate([corner, corner + edge])


def shaken(rng, found):
    return found + rng.normal(0, 0.08, 4) * np.tile(found[2:] - found[:2], 2)


def filled(corners):
    """An ellipse in a box."""
    (x0, y0, x1, y1), (rows, columns) = corners, np.indices(SIZE) + 0.5
    middle, radii = ((x0 + x1) / 2, (y0 + y1) / 2), (max(x1 - x0, 1e-3) / 2, max(y1 - y0, 1e-3) / 2)
    return ((columns - middle[0]) / radii[0]) ** 2 + ((rows - middle[1]) / radii[1]) ** 2 <= 1


def object_of(rng, corners, classes):
    area = rng.choice([32**2, 96**2]) if rng.random() < 0.1 else (corners[2:] - corners[:2]).prod()
    label, crowd = int(rng.integers(classes)), bool(rng.random() < 0.15)
    return Object(label, tuple(corners.tolist()), float(area), masks.encode(filled(corners)), crowd)


def coco(found, kind):
    """The twelve numbers of pycocotools for images; -1 where there is none."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truth(found)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(_detections(found, kind)), {"box": "bbox", "mask": "segm"}[kind])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def _truth(found):
    classes = sorted({label for one in found for label in [*one.labels.tolist(), *(o.label for o in one.objects)]})
    annotations = [_annotation(place, one) for place, image in enumerate(found) for one in image.objects]
    return {
        "images": [{"id": place, "height": SIZE[0], "width": SIZE[1]} for place in range(len(found))],
        "categories": [{"id": label} for label in classes],
        "annotations": [row | {"id": number} for number, row in enumerate(annotations, start=1)],
    }


def _annotation(place, one):
    return {
        "image_id": place,
        "category_id": one.label,
        "bbox": _sides(one.box),
        "area": one.area,
        "iscrowd": int(one.crowd),
        "segmentation": {"size": list(SIZE), "counts": one.mask},
    }


def _detections(found, kind):
    rows = []
    for place, image in enumerate(found):
        for label, score, corners, mask in zip(image.labels, image.scores, image.boxes, image.masks, strict=True):
            coded = {"size": list(SIZE), "counts": masks.encode(mask)}
            shape = {"bbox": _sides(corners)} if kind == "box" else {"segmentation": coded}
            rows.append({"image_id": place, "category_id": int(label), "score": float(score)} | shape)
    return rows


def _sides(corners):
    x0, y0, x1, y1 = map(float, corners)
    return [x0, y0, x1 - x0, y1 - y0]
