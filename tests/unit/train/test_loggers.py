"""Loggers: what TensorBoard and Weights & Biases find in their folders, and that neither is needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from trainings import ADVERSARIAL, Job, outputs, recipe, row

from mettle import tables
from mettle.train import loggers, loop
from mettle.train.record import scalars, sentence
from waits import until

OPTIONS = {"wandb": {"project": "mettle", "mode": "offline"}}


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_home"))


def read(folder):
    """Values by tag and epoch."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def test_tensorboard_holds_the_table_of_epochs(tmp_path, stores):
    options = OPTIONS | {"loggers": ["tensorboard"], "accelerator": "auto", "devices": 1, "strategy": "auto"}
    loop.train(row(), recipe(**ADVERSARIAL), *stores, *outputs(tmp_path), Job(), fabric=options, logs=tmp_path / "logs")
    epochs = tables.read(tmp_path / "epochs.parquet", tables.EPOCHS)
    found = read(tmp_path / "logs")
    for column in ("train_loss", "test_accuracy", "lr", "eps", "n"):
        assert list(found[column]) == [0, 1]
        assert list(found[column].values()) == pytest.approx(epochs[column].tolist(), rel=1e-6)
    assert found["eps_255"][1] == pytest.approx(0.5 * 255)
    assert "robust_accuracy" not in found, "never measured"


def test_a_new_start_replaces_what_comes_after_it(tmp_path):
    for first, value in ((0, 1.0), (2, 5.0)):
        (logger,) = loggers.start(tmp_path, "m", {}, OPTIONS | {"loggers": ["tensorboard"]}, first)
        for epoch in range(first, 4):
            logger.write({"loss": value}, epoch)
        logger.close()
    assert read(tmp_path)["loss"] == {0: 1.0, 1: 1.0, 2: 5.0, 3: 5.0}


def test_weights_and_biases_writes_a_run_offline(tmp_path):
    (logger,) = loggers.start(tmp_path / "logs", "m-0123", {"a": 1}, OPTIONS | {"loggers": ["wandb"]}, 0)
    logger.write({"loss": 1.5}, 0)
    logger.close()
    (folder,) = (tmp_path / "logs" / "wandb").glob("offline-run-*-m-0123")
    (file,) = folder.glob("run-m-0123.wandb")
    until("the run holds what was logged", lambda: b"loss" in file.read_bytes())  # its service writes at its leisure


def test_an_unknown_logger_is_named():
    with pytest.raises(
        ValueError,
        match=r"^configuration: train\.loggers: unknown logger 'tensorbord': did you mean 'tensorboard'\?$",
    ):
        loggers.start(Path(), "m", {}, {"loggers": ["tensorbord"]}, 0)


def test_without_loggers_nothing_is_written(tmp_path):
    assert loggers.start(tmp_path / "logs", "m", {}, {"loggers": []}, 0) == []
    assert not (tmp_path / "logs").exists()


def test_none_of_the_loggers_nor_fabric_is_needed():
    blocked = dict.fromkeys(["tensorboard", "wandb", "lightning_fabric"])
    code = f"import sys; sys.modules.update({blocked}); sys.path.insert(0, sys.argv[1]); import mettle.train"
    subprocess.run([sys.executable, "-c", code, str(Path(loop.__file__).parents[2])], check=True)


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
