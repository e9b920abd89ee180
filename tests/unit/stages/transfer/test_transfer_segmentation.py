"""Training of segmentation: the same from the same seed, again when it was killed, and what moves by `transfer`."""

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from dense_trainings import ARCH, RECIPE, Job, equal, recipe, row, run, training

from jobs import training_files
from mettle import models
from mettle.data import streets
from mettle.data.loading import batches
from mettle.data.store import Store
from mettle.distributed import ProcessGroup
from mettle.models.checkpoint import Checkpoint
from mettle.models.weights import read
from mettle.stages.transfer import transfer
from mettle.stages.transfer.validate import alike, score
from mettle.tasks.segmentation import SEGMENTATION

EACH = {"validation": {"every": 1}}


def test_weights_come_with_what_they_are(trained):
    _, about = models.load(trained[0] / "weights.safetensors")
    expected = {"task": "segmentation", "arch": ARCH, "classes": 10, "map_classes": 11, "transfer": "full", "seed": 0}
    assert {key: about[key] for key in expected} == expected
    assert about["class_names"] == ["a", "b"] and about["upernet"] == recipe()["upernet"]


def test_epochs_have_a_row_each(trained):
    _, (_, frame), job = trained
    assert frame["epoch"].tolist() == [0, 1] and frame["updates"].tolist() == [3, 6]
    assert frame["n"].tolist() == [12, 12] and frame["test_n"].tolist() == [5, 5]
    assert frame["measure"].tolist() == ["miou"] * 2 and frame["score"].between(0, 1).all()
    assert frame["lr"].iloc[1] == pytest.approx(0.003 / 25 / 1e4)
    assert any("batch 4 (accumulate 1, processes 1), peak learning rate 0.003" in said for said in job.said)
    assert any(said.startswith("epoch 2: loss") and "miou" in said for said in job.said)


def test_the_score_is_that_of_the_weights(trained, streets_stores):
    folder, (_, frame), job = trained
    model, _ = models.load(folder / "weights.safetensors")
    test = Store(streets_stores[1])
    images = torch.from_numpy(test.arrays()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        answers = SEGMENTATION.answers(model(images), SEGMENTATION.targets(test, np.arange(5)))
    value = SEGMENTATION.score.value(pd.DataFrame({key: list(found.numpy()) for key, found in answers.items()}))
    assert frame["score"].iloc[-1] == pytest.approx(value, abs=1e-6)
    assert score(model, SEGMENTATION, test, 2, models.policy(1), job, ProcessGroup()) == pytest.approx(value, abs=1e-6)


def test_the_same_seed_gives_the_same_result_and_another_another(tmp_path, streets_stores, trained):
    assert equal(run(tmp_path / "a", streets_stores, recipe(**EACH))[0], trained[1])
    other, _ = run(tmp_path / "b", streets_stores, recipe(**EACH), seed=1)
    assert not torch.equal(other[0]["decode_head.conv_seg.weight"], trained[1][0]["decode_head.conv_seg.weight"])


@pytest.mark.parametrize("step", [1, 3, 5])
def test_asked_to_end_it_goes_on_to_the_same_end(tmp_path, streets_stores, trained, step):
    job = Job(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit, match="stopped by a signal"):
        run(tmp_path, streets_stores, recipe(**EACH), job=job)
    found, job = run(tmp_path, streets_stores, recipe(**EACH))
    assert any(said.startswith("resuming from epoch") for said in job.said)
    assert equal(found, trained[1])
    assert not (tmp_path / "resume").exists()


def test_killed_it_goes_on_to_the_same_end(tmp_path, streets_stores, trained):
    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, streets_stores, recipe(**EACH), job=Job(4, killed))
    assert equal(run(tmp_path, streets_stores, recipe(**EACH))[0], trained[1])


def test_of_two_processes_the_second_takes_what_the_first_has_made(streets_stores, trained):
    job = Job()
    job.waited = True
    transfer(row(), recipe(**EACH), training_files(trained[0], *streets_stores), job)
    assert job.said == ["another process has finished this training"]


def test_iterations_end_within_a_pass(tmp_path, streets_stores):
    options = {key: value for key, value in RECIPE.items() if key != "epochs"} | {"iterations": 4}
    (_, frame), _ = run(tmp_path, streets_stores, recipe(**options) | {"epochs": None})
    assert frame["updates"].tolist() == [3, 4] and frame["n"].tolist() == [12, 4]
    assert frame["score"].isna().tolist() == [True, False]  # without `every`, in the end alone


def test_steps_by_epoch_change_the_rate_between_epochs(tmp_path, streets_stores):
    schedule = {"name": "multistep", "by": "epoch", "milestones": [1]}
    (_, frame), _ = run(tmp_path, streets_stores, recipe(schedule=schedule))
    assert frame["lr"].tolist() == pytest.approx([0.003, 0.0003])


def test_a_loss_that_is_not_finite_is_named(streets_stores):
    made = training(streets_stores, recipe())
    with torch.no_grad():
        made.model.decode_head.conv_seg.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"loss of upernet-tiny-s0 is nan at epoch 0, step 0: lower optimizer.lr"):
        made.one_epoch(Checkpoint("nowhere", made.fingerprint))


# Where it starts, and what moves


def digests(model):
    state = model.backbone.state_dict()
    return {key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in state.items()}


def moved(stores, base, folder, transfer, **options):
    made = training(stores, recipe(**options), [base], transfer=transfer)
    before = digests(made.model)
    assert (
        before["network.conv1.0.weight"]
        == hashlib.sha256(read(base)[0]["network.conv1.0.weight"].numpy().tobytes()).hexdigest()
    )
    made.one_epoch(Checkpoint(folder, made.fingerprint))
    after = digests(made.model)
    return {key for key in before if before[key] != after[key]}, made


def statistics(model):
    return {key for key, _ in model.backbone.named_buffers()}


def test_fixed_the_backbone_is_the_same_to_the_last_bit(tmp_path, streets_stores, classifier):
    found, made = moved(streets_stores, classifier, tmp_path, "fixed")
    assert found == set()
    assert len(made.report["finetune"]["loaded"]) == len(made.model.backbone.state_dict())


def test_in_full_everything_moves(tmp_path, streets_stores, classifier):
    found, made = moved(streets_stores, classifier, tmp_path, "full")
    assert found == set(made.model.backbone.state_dict())


def test_under_fixed_paper_the_statistics_move_alone(tmp_path, streets_stores, classifier):
    found, made = moved(streets_stores, classifier, tmp_path, "fixed_paper")
    assert found == statistics(made.model)


def test_under_fixed_paper_a_floor_of_the_rate_moves_weights_too(tmp_path, streets_stores, classifier):
    found, made = moved(streets_stores, classifier, tmp_path, "fixed_paper", schedule={"name": "poly", "min_lr": 1e-4})
    assert found > statistics(made.model)


def test_the_weights_say_where_they_started(tmp_path, streets_stores, classifier):
    run(tmp_path, streets_stores, recipe(), start=classifier, transfer="fixed")
    _, about = models.load(tmp_path / "weights.safetensors")
    assert about["base"] == str(classifier) and about["transfer"] == "fixed"
    assert sorted(about["finetune"]["unexpected"]) == ["fc.bias", "fc.weight"]


def test_with_prime_images_change_and_the_seed_decides_how(tmp_path, streets_stores, classifier, monkeypatch):
    prime = {"width": 1, "depth": 1, "primitives": ["color"]}
    (plain, _), _ = run(tmp_path / "plain", streets_stores, recipe())
    (first, _), _ = run(tmp_path / "first", streets_stores, recipe(augment={"prime": prime}))
    (again, _), _ = run(tmp_path / "again", streets_stores, recipe(augment={"prime": prime}))
    key = "decode_head.conv_seg.weight"
    assert torch.equal(first[key], again[key]) and not torch.equal(first[key], plain[key])


# Images of several sizes


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Streets of two sizes."""
    folder, sizes = tmp_path_factory.mktemp("mixed"), (40, 48)
    made = [streets.Difficulty(size=size, crop=(16, 64), edge=(28, 10)) for size in sizes]
    items = [streets.street(0, "train", index, made[index % 2]) for index in range(6)]
    return _written(folder, items)


def _written(folder: Path, items):
    from mettle import tables
    from mettle.data import write
    from mettle.data.targets import Expected

    expected = Expected(("label_map", "objects"), classes=10, map_classes=11)
    write(folder / "a.lmdb", folder / "a.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    return folder / "a.lmdb"


def test_images_of_one_size_go_together():
    sizes = np.array([[4, 4], [4, 6], [4, 4], [4, 4], [4, 6]])
    assert [found.tolist() for found in alike(sizes, 2)] == [[0, 2], [3], [1, 4]]


CROPPED = {
    "input": RECIPE["input"] | {"scale": [64, 48]},
    "augment": {"resize_range": [0.5, 2.0], "largest_class": 0.9, "horizontal_flip": True, "photometric": True},
}


def test_images_of_several_sizes_are_cropped_in_training_and_scored_at_their_own(tmp_path, mixed):
    (_, frame), _ = run(tmp_path, (mixed, mixed), recipe(**CROPPED, epochs=1))
    assert frame["test_n"].iloc[-1] == 6 and frame["score"].iloc[-1] >= 0


def test_worker_processes_decide_nothing(mixed):
    made = training((mixed, mixed), recipe(**CROPPED)).train
    order = [np.array([0, 3]), np.array([5, 1])]
    for alone, by_others in zip(batches(made, order), batches(made, order, 2), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(alone, by_others, strict=True))
    first = next(batches(made, order))[0]
    made.epoch = 1
    assert not torch.equal(next(batches(made, order))[0], first)


def test_images_that_are_not_of_the_size_that_training_takes_are_named(mixed):
    with pytest.raises(ValueError, match=r"a.lmdb holds an image of 48x48 pixels, but training takes 40x40: set"):
        training((mixed, mixed), recipe(input=RECIPE["input"] | {"size": 40}))


def test_a_store_without_label_maps_is_named(tmp_path):
    from mettle import tables
    from mettle.data import write
    from mettle.data.targets import Expected

    items = [streets.street(0, "train", 0)]
    expected = Expected(("objects",), classes=10)
    write(tmp_path / "a.lmdb", tmp_path / "a.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    with pytest.raises(ValueError, match=r"a.targets.lmdb holds objects, not label_map"):
        training((tmp_path / "a.lmdb",) * 2, recipe(input=RECIPE["input"] | {"size": 96}))
