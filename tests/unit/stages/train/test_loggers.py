"""Loggers: what TensorBoard and Weights & Biases find in their folders, and that neither is needed."""

import json
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainings import ADVERSARIAL, ATTACK, files, recipe, row, training

from imports import SCRIPTS
from jobs import Job, Killed, killed
from mettle import models, tables
from mettle.models import loggers
from mettle.stages.attack import evaluate
from mettle.stages.train import loop, validate
from mettle.stages.train.record import scalars, sentence
from waits import until

OPTIONS = {"wandb": {"project": "mettle", "mode": "offline"}, "run": "{model}", "images": 2, "checkpoint_seconds": 0}
BOTH = OPTIONS | {"loggers": ["tensorboard", "wandb"], "accelerator": "auto", "devices": 1, "strategy": "ddp"}
PICTURES = ["validation/attacked", "validation/clean", "validation/perturbation"]


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("wandb_home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SILENT", "true")
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, home)
        yield


# What is in the folders


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def read(folder):
    """Values by tag and epoch."""
    found = events(folder)
    return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def pictures(folder):
    """Pictures by tag and epoch."""
    found = events(folder)
    return {
        tag: {event.step: np.asarray(Image.open(BytesIO(event.encoded_image_string))) for event in found.Images(tag)}
        for tag in found.Tags()["images"]
    }


def records(path):
    """Records of an offline run: blocks of 32 KiB behind a head of 7 bytes, each with pieces of a head and data."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := -place % 32768) and left < 7:  # the rest of a block that no head fits into
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole, place = whole + data[place + 7 : place + 7 + length], place + 7 + length
        if kind in (1, 4):  # all of a record, or its end
            yield Record.FromString(whole)
            whole = b""


def offline(folder):
    """The runs of a folder, in the order in which they were started: id and name, history by step, summary."""
    return [_run(path) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def _run(path):
    until("the run is at its end", lambda: any(record.HasField("exit") for record in records(path)))
    run, history, summary = {}, {}, {}
    for record in records(path):
        if record.HasField("run"):
            run = {"id": record.run.run_id, "name": record.run.display_name, "project": record.run.project}
        if items := _items(record.history.item):
            history.setdefault(items["_step"], {}).update(items)
        summary |= _items(record.summary.update)
    return {"run": run, "history": history, "summary": summary, "folder": path.parent}


def _items(found):
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in found}


def train(folder, stores, options, job=None, **chosen):
    loop.train(row(), options, files(stores, folder, logs=folder / "logs"), job or Job(), BOTH | chosen)


# A training


@pytest.fixture(scope="module")
def trained(quiet, tmp_path_factory, stores):
    """Folder of a training of two epochs with both loggers."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, stores, recipe(**ADVERSARIAL), run="{recipe}_{seed}")
    return folder


def test_both_hold_the_table_of_epochs_and_pictures_of_each(trained):
    epochs = tables.read(trained / "epochs.parquet", tables.EPOCHS)
    found, (run, *_) = read(trained / "logs" / "tiny_0"), offline(trained / "logs" / "tiny_0")
    assert run["run"]["name"] == "tiny_0" and run["run"]["project"] == "mettle"
    about = models.load(trained / "weights.safetensors")[1]
    assert run["run"]["id"] == f"resnet8-tiny-s0-{about['training'][:8]}"
    for column in ("train_loss", "test_accuracy", "lr", "eps", "n"):
        assert list(found[column]) == [0, 1]
        assert list(found[column].values()) == pytest.approx(epochs[column].tolist(), rel=1e-6)
        assert [run["history"][step][column] for step in (0, 1)] == epochs[column].tolist()
    assert found["eps_255"][1] == pytest.approx(0.5 * 255)
    assert "robust_accuracy" not in found, "never measured"
    shown = pictures(trained / "logs" / "tiny_0")
    assert sorted(shown) == PICTURES
    for name, by_epoch in shown.items():
        assert list(by_epoch) == [0, 1] and by_epoch[0].shape == (32, 2 * 32, 3)
        for step in (0, 1):
            kept = Image.open(run["folder"] / "files" / run["history"][step][f"{name}.path"])
            assert (np.asarray(kept) == by_epoch[step]).all()
    assert (shown["validation/clean"][0] == shown["validation/clean"][1]).all()
    assert (shown["validation/attacked"][0] != shown["validation/attacked"][1]).any(), "another model, another attack"


@pytest.mark.parametrize("attacked", [True, False])
def test_pictures_are_those_of_validation(stores, attacked):
    made = training(stores, recipe(**ADVERSARIAL) if attacked else recipe())
    images, chosen = made.images.test, made.images.attacked[:3]
    found = validate.pictures(made.model, images, chosen, made.recipe, made.policy)
    clean = images.__getitems__(chosen)[0]
    apart = lambda name: torch.tensor(found[name].astype(np.float32)).view(32, 3, 32, 3).permute(1, 3, 0, 2) / 255  # noqa: E731
    assert (apart("validation/clean") - clean).abs().max() < 1 / 255
    if not attacked:
        assert list(found) == ["validation/clean"]
        return
    assert list(found) == ["validation/clean", "validation/attacked", "validation/perturbation"]
    added = apart("validation/attacked") - apart("validation/clean")
    assert (added.flatten(1).norm(dim=1) < ATTACK["eps"] + 0.2).all() and added.abs().max() > 0.02
    shown = apart("validation/perturbation") - 0.5
    assert shown.abs().max() == pytest.approx(0.5, abs=1 / 255)
    assert torch.allclose(shown, added / (2 * added.abs().max()), atol=0.05)


def test_a_killed_training_goes_on_in_the_same_run(tmp_path, stores):
    options, at = recipe(epochs=3, **ADVERSARIAL), 6  # in the second epoch of four updates
    with pytest.raises(Killed):
        train(tmp_path / "cut", stores, options, Job(at, killed))
    train(tmp_path / "cut", stores, options)
    train(tmp_path / "whole", stores, options)
    folders = [tmp_path / name / "logs" / "resnet8-tiny-s0" for name in ("cut", "whole")]
    first, second = map(read, folders)
    timeless = lambda found: {tag: values for tag, values in found.items() if tag != "images_per_second"}  # noqa: E731
    assert timeless(first) == timeless(second) and list(first["lr"]) == [0, 1, 2]
    *before, after = offline(folders[0])
    (expected,) = offline(folders[1])
    assert {run["run"]["id"] for run in [*before, after]} == {expected["run"]["id"]}
    together = {step: items for run in [*before, after] for step, items in run["history"].items()}
    assert [together[step]["train_loss"] for step in range(3)] == [
        expected["history"][step]["train_loss"] for step in range(3)
    ]
    assert sorted(after["history"]) == list(range(at // 4, 3)), "it begins where the first has ended"


# What is measured later


def test_an_attack_goes_to_the_run_of_the_training(trained):
    n = 10
    columns = {"dataset": ["digits"] * n, "attack": ["pgd"] * n, "label": [1] * n}
    columns |= {"clean_prediction": [1] * 9 + [0], "prediction": [1] * 4 + [0] * 6}
    job = Job()
    options = BOTH | {"run": "{recipe}_{seed}"}
    evaluate.send(columns, trained / "weights.safetensors", trained / "logs", options, job)
    found = read(trained / "logs" / "tiny_0")
    expected = {"digits/pgd/clean_accuracy": 0.9, "digits/pgd/accuracy": 0.4, "digits/pgd/n": 10}
    assert {tag: found[tag] for tag in expected} == {tag: {1: pytest.approx(value)} for tag, value in expected.items()}
    assert list(found["train_loss"]) == [0, 1], "what was there stays"
    first, judged = offline(trained / "logs" / "tiny_0")
    assert judged["run"] == first["run"]
    assert {key: judged["summary"][key] for key in expected} == expected and not judged["history"]
    assert job.said == [f"sent to run {first['run']['id']} of tensorboard, wandb"]


def test_another_training_of_a_model_is_another_run():
    about = row() | {"training": "0123456789"}
    first, second = (loggers.run_of(about | {"training": made}, OPTIONS) for made in ("0123456789", "1123456789"))
    assert (first.id, second.id) == ("resnet8-tiny-s0-01234567", "resnet8-tiny-s0-11234567")
    assert first.name == second.name and first.about == {}, "the training has described it"
    assert loggers.run_of(about, OPTIONS, 0, settings={"a": 1}).about == about | {"settings": {"a": 1}}


def test_a_converted_model_has_a_run_of_its_own():
    about = {"model": "net-s0", "dataset": "digits", "arch": "net", "recipe": "r", "seed": 0, "sha256": "abcdef0123456"}
    run = loggers.run_of(about, OPTIONS)
    assert (run.name, run.id, run.epoch) == ("net-s0", "net-s0-abcdef01", None) and run.about == about


def test_a_logger_that_fails_costs_no_results(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    said = []
    about = {"model": "m", "training": "0123456789"}
    loggers.judge(tmp_path, about, {"a": 1.0}, OPTIONS | {"loggers": ["wandb"]}, said.append)
    assert said == ["not sent to wandb: ModuleNotFoundError: import of wandb halted; None in sys.modules"]


# Which there are


def test_a_new_start_replaces_what_comes_after_it(tmp_path):
    for first, value in ((0, 1.0), (2, 5.0)):
        run = loggers.Run("m", "m-0", {}, first)
        with loggers.open_all(tmp_path, run, OPTIONS | {"loggers": ["tensorboard"]}) as (logger,):
            for epoch in range(first, 4):
                logger.write({"loss": value}, epoch)
    assert read(tmp_path / "m")["loss"] == {0: 1.0, 1: 1.0, 2: 5.0, 3: 5.0}


def test_an_unknown_logger_is_named():
    message = r"^configuration: train\.loggers: unknown logger 'tensorbord': did you mean 'tensorboard'\?$"
    with (
        pytest.raises(ValueError, match=message),
        loggers.open_all(Path(), loggers.Run("m", "m-0", {}), {"loggers": ["tensorbord"]}),
    ):
        pass


def test_without_loggers_nothing_is_written(tmp_path):
    with loggers.open_all(tmp_path / "logs", loggers.Run("m", "m-0", {}), {"loggers": []}) as found:
        assert found == []
    assert not (tmp_path / "logs").exists()


def test_none_of_the_loggers_nor_fabric_is_needed():
    blocked = dict.fromkeys(["tensorboard", "wandb", "lightning_fabric"])
    code = f"import sys; sys.modules.update({blocked}); sys.path.insert(0, sys.argv[1]); import mettle.stages.train"
    subprocess.run([sys.executable, "-c", code, str(SCRIPTS)], check=True)


def test_scalars_are_the_numbers_of_a_row():
    entry = {"model": "m", "epoch": 3, "lr": 0.1, "eps": 2 / 255, "alarm": None, "robust_accuracy": None, "n": 5}
    assert scalars(entry) == {"lr": 0.1, "eps": 2 / 255, "n": 5, "eps_255": pytest.approx(2)}
    assert scalars(entry | {"eps": None}) == {"lr": 0.1, "n": 5}


@pytest.mark.parametrize(
    ("eps", "text"), [(8 / 255, "8/255"), (0.0103529, "2.64/255"), (0.25, "0.25"), (0.5 * 0.875, "0.4375"), (3.0, "3")]
)
def test_the_radius_is_written_as_everywhere(eps, text):
    entry = dict.fromkeys(("train_loss", "train_accuracy", "test_accuracy", "lr", "images_per_second"), 1.0)
    entry |= {"epoch": 0, "batch": 16, "eps": eps, "robust_accuracy": None, "alarm": None}
    assert sentence(entry).split(", ")[5] == f"eps {text}"
