"""Training of detection: resumed with the same result, on images of several sizes, and what moves by `transfer`."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_trainings import HEAD, SMALL, Job, detection, equal, run, training

from mettle import models, tables
from mettle.data import streets, write
from mettle.data.dense import DenseSet
from mettle.data.loading import batches
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.models.checkpoint import Checkpoint
from mettle.stages.transfer.kinds import KINDS

EACH = {"validation": {"every": 1}}


def written(folder, items):
    expected = Expected(("label_map", "objects"), classes=10, map_classes=11)
    write(folder / "a.lmdb", folder / "a.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    return folder / "a.lmdb"


@pytest.fixture(scope="module")
def found(tmp_path_factory, streets_stores):
    folder = tmp_path_factory.mktemp("found")
    return folder, run(folder, streets_stores, detection(**EACH))[0]


def test_weights_and_epochs_of_a_detector(found):
    folder, (_, frame) = found
    assert frame["measure"].tolist() == ["box_ap"] * 2 and frame["score"].between(0, 1).all()
    assert frame["n"].tolist() == [12, 12] and (frame["train_loss"] > 0).all()
    model, about = models.load(folder / "weights.safetensors")
    assert about["task"] == "detection" and model.predicts_masks and about["mask_rcnn"]["channels"] == 8


def test_killed_it_goes_on_to_the_same_end(tmp_path, streets_stores, found):
    job = Job(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit, match="stopped by a signal"):
        run(tmp_path, streets_stores, detection(**EACH), job=job)
    assert equal(run(tmp_path, streets_stores, detection(**EACH))[0], found[1])


def test_fixed_the_backbone_stays_the_same_and_the_rest_learns(tmp_path, streets_stores, classifier):
    made = training(streets_stores, detection(), [classifier], transfer="fixed")
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
    moved = {key for key, value in made.model.state_dict().items() if not torch.equal(value, before[key])}
    assert not [key for key in moved if key.startswith("backbone")]
    assert {key.split(".")[0] for key in moved} == {"neck", "rpn_head", "roi_head"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Streets of two sizes."""
    kinds = [streets.Difficulty(size=size, crop=(16, 64), edge=(28, 10)) for size in (40, 48)]
    items = [streets.street(0, "train", index, kinds[index % 2]) for index in range(6)]
    return written(tmp_path_factory.mktemp("mixed"), items)


def test_images_of_several_sizes_are_padded_to_those_of_their_batch(mixed):
    kind = KINDS["detection"]
    change = kind.change(detection(augment={"horizontal_flip": True}), None)
    images, targets, ids = DenseSet(Store(mixed), 48, kind.read, kind.stack, change).__getitems__([0, 1])
    assert images.shape == (2, 3, 48, 48) and ids.tolist() == [0, 1]
    assert [target.size for target in targets] == [(40, 40), (48, 48)]
    assert (images[0, :, 40:] == 0).all() and (images[0, :, :, 40:] == 0).all()
    assert images[0, :, :40, :40].unique().numel() > 100 and targets[0].masks.shape[1:] == (40, 40)


def resized():
    shape = {"input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "scale": [64, 36]}}
    augment = {"short_sides": [32, 48], "crop_short_sides": [60], "crop_range": [24, 48], "horizontal_flip": True}
    return detection(augment=augment, **shape)


def test_images_of_several_sizes_are_resized_in_training_and_scored_at_their_own(tmp_path, mixed):
    (_, frame), _ = run(tmp_path, (mixed, mixed), resized())
    assert frame["test_n"].tolist()[-1] == 6 and np.isfinite(frame["train_loss"]).all()


def test_changes_are_the_same_for_any_number_of_workers(mixed):
    kind, chosen = KINDS["detection"], [np.array([0, 3, 4]), np.array([1, 2])]
    reading = (kind.read, kind.stack, kind.change(resized(), None), 7)
    found = [list(batches(DenseSet(Store(mixed), 32, *reading), chosen, workers)) for workers in (0, 2)]
    for (images, targets, _), (others, same, _) in zip(*found, strict=True):
        assert torch.equal(images, others)
        for one, other in zip(targets, same, strict=True):
            assert all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("boxes", "labels", "masks"))


def test_objects_without_masks_train_no_masks(tmp_path_factory, tmp_path):
    items = [streets.street(0, "train", index, SMALL) for index in range(4)]
    bare = [[replace(found, mask=None) for found in item.targets.objects] for item in items]
    items = [replace(item, targets=replace(item.targets, objects=one)) for item, one in zip(items, bare, strict=True)]
    stores = (written(tmp_path_factory.mktemp("bare"), items),) * 2
    with pytest.raises(ValueError, match=r"objects of the training images have none: set mask_rcnn.masks"):
        run(tmp_path / "masks", stores, detection())
    head = {key: value for key, value in HEAD.items() if not key.startswith("mask")} | {"masks": False}
    (_, frame), _ = run(tmp_path / "boxes", stores, detection(mask_rcnn=head))
    assert frame["score"].iloc[-1] is not None
