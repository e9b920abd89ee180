"""Training a network of the user's own with a loss of a plugin: what the weights say, and what resumes."""

import pytest
from trainings import files, recipe, row

from jobs import Job, Killed, killed
from mettle import models
from mettle.models import own
from mettle.stages.train import LOSSES, train

NET = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, x):
        return self.fc(x.flatten(1))
"""
LOSS = """
import torch.nn.functional as F
from mettle.stages.train import LOSSES, Loss, by_epoch

def halved(model, x, y, epoch):
    logits = model(x)
    return F.cross_entropy(logits, y) / 2, logits, None

LOSSES["halved"] = Loss(by_epoch(halved), "")
"""
ROW = row(arch="net.py:MyNet", code=["net.py"], loss_code=["loss.py"])


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "loss.py").write_text(LOSS)
    yield
    LOSSES.pop("halved", None)
    own._run.cache_clear()


def options(loss="halved"):
    return recipe() | {"loss": loss}


def test_weights_say_what_the_network_was_built_from(tmp_path, stores):
    train(ROW, options(), files(stores, tmp_path), Job())
    model, about = models.load(tmp_path / "weights.safetensors")
    assert about["code"] == own.digests(["net.py"]) and type(model.network).__name__ == "MyNet"


@pytest.mark.parametrize("changed", ["", "net.py", "loss.py"])
def test_a_training_goes_on_only_with_the_code_that_it_began_with(tmp_path, stores, changed):
    with pytest.raises(Killed):
        train(ROW, options(), files(stores, tmp_path), Job(at=3, what=killed), {"checkpoint_seconds": 0})
    if changed:
        LOSSES.pop("halved")  # as in a process that starts
        (tmp_path / changed).write_text((tmp_path / changed).read_text() + "# changed\n")
        own._run.cache_clear()
    job = Job()
    train(ROW, options(), files(stores, tmp_path), job)
    assert any(line.startswith("resuming") for line in job.said) != bool(changed)


def test_a_plugin_that_registers_no_such_loss_is_refused(tmp_path, stores):
    (tmp_path / "loss.py").write_text("# halved")
    with pytest.raises(ValueError, match=r"^unknown loss 'halved'; known: .*, jsd; no file of `plugins` reg"):
        train(ROW, options(), files(stores, tmp_path), Job())


def test_a_plugin_that_takes_the_name_of_a_loss_is_refused(tmp_path, stores, monkeypatch):
    monkeypatch.setitem(LOSSES, "bce", LOSSES["bce"])
    (tmp_path / "loss.py").write_text(LOSS.replace("halved", "bce"))
    with pytest.raises(ValueError, match=r"^loss\.py: registers 'bce', which there is already: choose another name$"):
        train(ROW, options("bce"), files(stores, tmp_path), Job())


def test_a_loss_that_the_plugin_of_an_architecture_replaces_is_refused(tmp_path, stores, monkeypatch):
    monkeypatch.setitem(LOSSES, "standard", LOSSES["standard"])
    (tmp_path / "net.py").write_text(NET + LOSS.replace('LOSSES["halved"] =', "LOSSES['standard'] ="))
    with pytest.raises(ValueError, match=r"^loss 'standard' is not mettle's: a file of `plugins` has replaced it: "):
        train(row(arch="net.py:MyNet", code=["net.py"]), options("standard"), files(stores, tmp_path), Job())
