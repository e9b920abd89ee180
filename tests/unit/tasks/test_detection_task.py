"""Detection as a task: the objects of a store, what fits them, and what is stored of an image."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import coco_cases
from coco_cases import SIZE, coco
from mettle import tables
from mettle.data import store
from mettle.data.item import Item, Targets, png
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.models.detections import Detections
from mettle.tasks.detection import DETECTION, Truth
from mettle.tasks.known import TASKS
from mettle.tasks.scores import main


@pytest.fixture(scope="module")
def images():
    return coco_cases.images(1, number=6)


@pytest.fixture(scope="module")
def stored(images, tmp_path_factory):
    """The images in a store, black ones."""
    folder = tmp_path_factory.mktemp("store")
    black = png(np.zeros((*SIZE, 3), np.uint8))
    items = [Item(black, None, "", f"image {k}", targets=Targets(objects=one.objects)) for k, one in enumerate(images)]
    files = folder / "test.lmdb", folder / "test.parquet"
    store.write(*files, items, table=tables.DENSE_MANIFEST, expected=Expected(("objects",), classes=4))
    return Store(files[0])


def detected(one):
    return Detections(*(torch.from_numpy(part) for part in (one.boxes, one.scores, one.labels, one.masks)))


def test_targets_are_the_objects_of_the_store(images, stored):
    found = DETECTION.targets(stored, np.array([3, 1]))
    assert found == [Truth(images[3].objects, SIZE), Truth([], SIZE)]


def test_answers_give_the_scores_of_pycocotools(images, stored):
    targets = DETECTION.targets(stored, np.arange(6))
    found = DETECTION.answers([detected(one) for one in images], targets)
    assert list(found) == list(tables.ANSWERS["detection"])
    answers = pd.DataFrame({"id": range(6)} | found)
    assert DETECTION.score.value(answers) == pytest.approx(coco(images, "box")[0], abs=1e-9)
    assert DETECTION.score is main("detection") and TASKS["detection"] is DETECTION


def test_masks_of_another_size_than_the_image_are_refused(images):
    targets = [Truth(one.objects, SIZE) for one in images[:2]]
    found = [detected(one) for one in images[:2]]
    DETECTION.check(found, targets, [10, 11])
    smaller = replace(found[1], masks=found[1].masks[:, 1:])
    with pytest.raises(ValueError, match=r"image 11: masks of detections are of \(149, 170\) pixels, its"):
        DETECTION.check([found[0], smaller], targets, [10, 11])


@pytest.mark.parametrize("part", ["boxes", "scores"])
def test_detections_that_are_not_finite_are_refused(images, part):
    found = detected(images[0])
    broken = replace(found, **{part: getattr(found, part) * torch.nan})
    with pytest.raises(ValueError, match="image 7: boxes or scores of detections are not finite"):
        DETECTION.check([broken], [Truth(images[0].objects, SIZE)], [7])


def test_no_attack_is_known():
    with pytest.raises(ValueError, match="no attack is known for detection: attack a model of another task"):
        DETECTION.goal([])
