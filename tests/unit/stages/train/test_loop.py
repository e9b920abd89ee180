"""Training: the same from the same seed, and the same again when it was killed and went on."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pandas as pd
import pytest
import torch
from trainings import ADVERSARIAL, SGD, differing, equal, recipe, run, training

from imports import SCRIPTS
from jobs import Job, Killed, killed
from mettle import models
from mettle.data.loading import ImageSet
from mettle.data.store import Store
from mettle.models.checkpoint import Checkpoint
from mettle.stages.train import validate
from waits import until_alive


@pytest.fixture(scope="module")
def reference(stores, tmp_path_factory):
    """An adversarial training that nothing interrupts."""
    return run(tmp_path_factory.mktemp("reference"), stores, recipe(**ADVERSARIAL))[0]


def test_same_seed_same_weights_other_seed_other_weights(tmp_path, stores, reference):
    torch.manual_seed(77)  # what went on before in the process does not matter
    again = run(tmp_path / "again", stores, recipe(**ADVERSARIAL))[0]
    assert equal(again, reference)
    other = run(tmp_path / "other", stores, recipe(**ADVERSARIAL), seed=1)[0]
    assert differing(other[0], reference[0])


def test_number_of_workers_does_not_matter_to_the_data(stores, tmp_path):
    found = []
    for threads in (1, 3):  # one thread less are workers; the sums are then made in one thread for both
        job = Job(threads=threads)
        made = training(stores, recipe(epochs=1, **ADVERSARIAL), job=job)
        torch.set_num_threads(1)
        made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
        found.append(made.model.state_dict())
    assert differing(*found) == []


def test_every_part_of_the_seed_matters(stores):
    first, second = training(stores, recipe()), training(stores, recipe(), seed=1)
    assert differing(first.model.state_dict(), second.model.state_dict())
    assert first.fingerprint != second.fingerprint


def test_what_is_written(tmp_path, stores):
    options = recipe(epochs=3)
    (_, epochs), job = run(tmp_path, stores, options)
    assert epochs["epoch"].tolist() == [0, 1, 2]
    assert epochs["n"].tolist() == [64, 64, 64]
    assert set(epochs["model"]) == {"resnet8-tiny-s0"}
    assert epochs["train_loss"].iloc[-1] < epochs["train_loss"].iloc[0]
    assert (epochs["images_per_second"] > 0).all()
    assert epochs.attrs["provenance"] == [job.provenance]
    model, about = models.load(tmp_path / "weights.safetensors", arch="resnet8", classes=10, size=32, seed=0)
    assert (about["threat"], about["eps"], about["recipe"], about["resize"]) == ("none", 0.0, "tiny", None)
    assert about["mean"] == options["input"]["mean"]
    assert len(about["recipe_sha256"]) == 64
    # The last row is of the weights that were saved.
    images, labels, _ = ImageSet(Store(stores[1]), 32, None).__getitems__(list(range(32)))
    with torch.inference_mode():
        logits = model(images)
    assert epochs["test_accuracy"].iloc[-1] == (logits.argmax(1) == labels).float().mean().item()
    expected = torch.nn.functional.cross_entropy(logits, labels).item()
    assert epochs["test_loss"].iloc[-1] == pytest.approx(expected, abs=1e-5)
    assert job.said[0].startswith("computes on CPU in fp32: 64 images in batches of 16, ")
    assert job.said[1] == (
        "batch 16 (accumulate 1, processes 1), peak learning rate 0.05 = 0.05 x 1 (scaling none, base_batch 256)"
    )
    assert [line.partition(":")[0] for line in job.said[2:]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert not (tmp_path / "resume").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs.parquet", "weights.safetensors"]


# Killed, and going on

SCRIPT = """
import sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from jobs import Job
from trainings import ADVERSARIAL, files, recipe, row, train

class Slow(Job):
    def progress(self, items, text, total=None):
        for item in items:
            time.sleep(0.1)
            yield item

train(row(), recipe(**ADVERSARIAL), files({stores!r}, Path({folder!r})), Slow(), {{"checkpoint_seconds": 0}})
"""


def test_killed_outright_it_goes_on_to_the_same_end(tmp_path, stores, reference):
    script, resume = tmp_path / "script.py", tmp_path / "resume"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3]), str(SCRIPTS)]
    script.write_text(textwrap.dedent(SCRIPT).format(paths=paths, stores=[*map(str, stores)], folder=str(tmp_path)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    try:
        until_alive(process, "a state is saved", (resume / "last.pt").exists)
        time.sleep(0.25)  # some steps on, maybe in the middle of writing
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    assert not (tmp_path / "weights.safetensors").exists()
    assert not (tmp_path / "epochs.parquet").exists()
    found, job = run(tmp_path, stores, recipe(**ADVERSARIAL))
    assert job.said[0].startswith("resuming from epoch ")
    assert 0 < job.steps < 8, "it started anew, or had nothing left to do"
    assert equal(found, reference)
    assert not resume.exists()


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_a_new_training_goes_on_in_the_middle_of_an_epoch(tmp_path, stores, reference, step):
    # Step 4 is the start of the second epoch; before it, the state is of the end of the first.
    options = recipe(**ADVERSARIAL)
    first = training(stores, options, job=Job(step, killed))
    checkpoint = Checkpoint(tmp_path, first.fingerprint, every=0)
    with pytest.raises(Killed):
        for _ in range(2):
            first.one_epoch(checkpoint)
    second = training(stores, options, job=Job())
    state = Checkpoint(tmp_path, second.fingerprint).load()
    second.restore(state)
    assert (second.epoch, second.step) == divmod(step, 4)
    while second.epoch < 2:
        second.one_epoch(Checkpoint(tmp_path, second.fingerprint))
    assert second.job.steps == 8 - step
    assert differing(second.model.state_dict(), reference[0]) == []
    columns = ["epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "n"]
    pd.testing.assert_frame_equal(
        pd.DataFrame(second.record.rows)[columns], reference[1][columns], check_exact=True, check_dtype=False
    )


def test_dropout_is_drawn_again_after_a_new_start(tmp_path, stores, monkeypatch):
    def build(classes, size):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(3 * size**2, classes))

    monkeypatch.setitem(models.ARCHITECTURES, "dropping", models.Architecture(build, "linear", "none"))
    whole, first, second = (training(stores, recipe(), job=Job(k, killed), arch="dropping") for k in (None, 2, None))
    whole.one_epoch(Checkpoint(tmp_path / "whole", "f"))
    with pytest.raises(Killed):
        first.one_epoch(Checkpoint(tmp_path, "f", every=0))
    second.restore(Checkpoint(tmp_path, "f").load())
    torch.manual_seed(123)
    second.one_epoch(Checkpoint(tmp_path, "f"))
    assert differing(second.model.state_dict(), whole.model.state_dict()) == []


def test_killed_between_the_last_step_of_an_epoch_and_its_end(tmp_path, stores, reference, monkeypatch):
    options = recipe(**ADVERSARIAL)
    first = training(stores, options)
    monkeypatch.setattr(first, "_close_epoch", lambda checkpoint: killed())
    with pytest.raises(Killed):
        first.one_epoch(Checkpoint(tmp_path / "resume", first.fingerprint, every=0))
    found, job = run(tmp_path, stores, options)
    assert job.said[0] == "resuming from epoch 0, step 4"
    assert job.steps == 4
    assert equal(found, reference)


@pytest.mark.parametrize("step", [2, 7])
def test_asked_to_end_it_saves_and_ends(tmp_path, stores, reference, step):
    handler = signal.getsignal(signal.SIGTERM)
    job = Job(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(
        SystemExit, match=r"^stopped by a signal: the state is saved, and the next attempt resumes from it$"
    ):
        run(tmp_path, stores, recipe(**ADVERSARIAL), job=job)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume"]
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["last.pt"]
    found, after = run(tmp_path, stores, recipe(**ADVERSARIAL))
    epoch, rest = divmod(step + 1, 4)
    assert after.said[0] == (f"resuming from epoch {epoch}, step {rest}" if rest else "resuming from epoch 1, step 4")
    assert after.steps == 8 - step - 1
    assert equal(found, reference)


@pytest.mark.parametrize("what", ["recipe", "seed", "images"])
def test_the_state_of_another_training_is_ignored(tmp_path, stores, reference, what):
    other = {
        "recipe": lambda: training(stores, recipe(**ADVERSARIAL, clip_norm=1.0)),
        "seed": lambda: training(stores, recipe(**ADVERSARIAL), seed=1),
        "images": lambda: training(stores[::-1], recipe(**ADVERSARIAL)),
    }[what]()
    other.one_epoch(Checkpoint(tmp_path / "resume", other.fingerprint, every=0))
    assert (tmp_path / "resume" / "last.pt").exists()
    found, job = run(tmp_path, stores, recipe(**ADVERSARIAL))
    assert job.steps == 8
    assert not any("resuming" in line for line in job.said)
    assert equal(found, reference)
    assert not (tmp_path / "resume").exists()


def test_a_state_is_replaced_as_a_whole(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path, "f", every=0)
    checkpoint.save({"epoch": 1})

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"^no space left on device$"):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load() == {"epoch": 1, "fingerprint": "f"}
    assert Checkpoint(tmp_path, "g").load() is None
    checkpoint.remove()
    assert not tmp_path.exists()
    assert checkpoint.load() is None


def test_states_are_written_on_a_timer(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    checkpoint = Checkpoint(tmp_path, "f", every=60)
    found = []
    for clock.now in (100, 159, 160, 161, 220):
        found.append(checkpoint.due())
        if found[-1]:
            checkpoint.save({})
    assert found == [False, False, True, False, True]


# Recipes


def rates(stores, tmp_path, **other):
    """Learning rate at each update, and after the last."""
    found, made = [], training(stores, recipe(**other))
    update = made._update

    def spy(*batch):
        found.append(made.optimizer.param_groups[0]["lr"])
        update(*batch)

    made._update = spy
    while made.epoch < made.recipe["epochs"]:
        made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
    assert {group["lr"] for group in made.optimizer.param_groups} == {made.record.rows[-1]["lr"]}
    return [*found, made.record.rows[-1]["lr"]]


def test_cosine_schedule_in_closed_form(stores, tmp_path):
    schedule = {"name": "cosine", "warmup_epochs": 1, "warmup_lr": 0.01, "min_lr": 0.001}
    found = rates(stores, tmp_path, epochs=3, schedule=schedule)  # 4 updates per epoch
    warm = [0.01 + (0.05 - 0.01) * t / 4 for t in range(4)]
    decay = [0.001 + (0.05 - 0.001) * (1 + math.cos(math.pi * t / 12)) / 2 for t in range(4, 13)]
    assert found == pytest.approx(warm + decay, abs=1e-12)


def test_step_schedule_in_closed_form(stores, tmp_path):
    found = rates(stores, tmp_path, epochs=3, schedule={"name": "step", "every": 1, "factor": 0.1})
    assert found == pytest.approx([0.05 * 0.1 ** (t // 4) for t in range(13)], abs=1e-12)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_is_what_the_recipe_says(stores, nesterov):
    options = SGD | {"momentum": 0.8, "nesterov": nesterov, "decay_all": True}
    found = training(stores, recipe(optimizer=options)).optimizer
    assert isinstance(found, torch.optim.SGD)
    assert {(g["momentum"], g["nesterov"], g["weight_decay"], g["lr"]) for g in found.param_groups} == {
        (0.8, nesterov, 5e-4, 0.05)
    }


def test_adamw_is_what_the_recipe_says(stores):
    options = {"name": "adamw", "lr": 1e-3, "momentum": 0.8, "weight_decay": 0.05, "decay_all": True}
    found = training(stores, recipe(optimizer=options)).optimizer
    assert isinstance(found, torch.optim.AdamW)
    assert {(g["betas"], g["weight_decay"], g["lr"]) for g in found.param_groups} == {((0.8, 0.999), 0.05, 1e-3)}


def test_biases_and_normalisation_are_not_decayed_unless_asked(stores):
    made = training(stores, recipe())
    decayed = {id(p) for g in made.optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    held = {id(p) for g in made.optimizer.param_groups for p in g["params"]}
    parameters = dict(made.model.named_parameters())
    assert held == {id(value) for value in parameters.values()}
    assert decayed == {id(value) for value in parameters.values() if value.ndim > 1}


@pytest.mark.parametrize(
    "other",
    [
        {"optimizer": {"name": "adamw", "lr": 3e-3, "weight_decay": 0.01}},
        {"precision": "bf16"},
        {"precision": "bf16", **ADVERSARIAL},
        {"label_smoothing": 0.1},
        {"schedule": {"name": "step", "every": 1, "factor": 0.5}},
        {"input": {"size": 24, "resize": 28, "mean": [0.5] * 3, "std": [0.25] * 3}, "augment": {"rotation": 10}},
        {"augment": {"random_resized_crop": True, "color_jitter": 0.1, "lighting": 0.05}},
    ],
    ids=["adamw", "bf16", "bf16-adversarial", "smoothing", "step", "resize", "augment"],
)
def test_variations_train(stores, tmp_path, other):
    made = training(stores, recipe(epochs=2, **other))
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    for _ in range(2):
        made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
    assert all(math.isfinite(entry[key]) for entry in made.record.rows for key in ("train_loss", "test_loss"))
    assert {value.dtype for value in made.model.parameters()} == {torch.float32}
    changed = set(differing(before, made.model.state_dict()))
    assert changed == set(before) - {"mean", "std"}


@pytest.mark.parametrize("clip", [0.01, None])
def test_clip_norm_bounds_an_update(stores, tmp_path, clip):
    options = {"name": "sgd", "lr": 0.5, "momentum": 0.0, "weight_decay": 0.0}
    made = training(stores, recipe(epochs=1, batch_size=64, optimizer=options, clip_norm=clip))
    before = [value.detach().clone() for value in made.model.parameters()]
    made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
    moved = torch.cat([(a - b).flatten() for a, b in zip(made.model.parameters(), before, strict=True)]).norm().item()
    if clip is None:
        assert moved > 0.05
    else:
        assert moved == pytest.approx(0.5 * clip, rel=1e-3)


def test_label_smoothing_is_in_the_training_loss_only(stores, tmp_path):
    found = []
    for smoothing in (0.0, 0.5):
        made = training(stores, recipe(epochs=1, batch_size=64, label_smoothing=smoothing))
        start = validate.evaluate(made.model, made.images.test, made.images.tested, validate.Passes(made.policy, 500))
        made.one_epoch(Checkpoint(tmp_path, made.fingerprint))
        found.append((start, made.record.rows[0]["train_loss"]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_a_diverged_training_says_what_to_change(tmp_path, stores):
    options = recipe(optimizer=SGD | {"lr": 1e30})
    with pytest.raises(
        ValueError,
        match=r"^training loss of resnet8-tiny-s0 is (nan|inf) at epoch 0, step [123]: "
        r"lower optimizer\.lr \(1e\+30\) of recipe 'tiny', or clip_norm$",
    ):
        run(tmp_path, stores, options)
    assert not (tmp_path / "weights.safetensors").exists()


def test_evaluation_leaves_the_model_alone(stores):
    made = training(stores, recipe())
    made.model.train()
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    whole = validate.evaluate(made.model, made.images.test, made.images.tested, validate.Passes(made.policy, 500))
    parts = validate.evaluate(made.model, made.images.test, made.images.tested, validate.Passes(made.policy, 5))
    assert parts == pytest.approx(whole, rel=1e-5)
    assert all(module.training for module in made.model.modules())
    assert differing(before, made.model.state_dict()) == []


@pytest.mark.parametrize(("seed", "again"), [(0, False), (1, True)])
def test_who_waited_for_the_same_training_takes_its_weights(tmp_path, stores, seed, again):
    run(tmp_path, stores, recipe(epochs=1))
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    job = Job()
    job.waited = True
    run(tmp_path, stores, recipe(epochs=1), seed=seed, job=job)
    assert ("another process has finished this training" in job.said) != again
    assert ((tmp_path / "weights.safetensors").stat().st_mtime_ns > before) == again
