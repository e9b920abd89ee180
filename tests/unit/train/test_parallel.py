"""Several processes on the CPU, by gloo: the same losses and weights as one process, and one state of training."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mettle import models, tables
from mettle.train import loop
from mettle.train.parallel import Crew, share
from test_loop import ADVERSARIAL, SGD, Job, differing, outputs, recipe, row, run, stores  # noqa: F401

SCRIPTS = Path(loop.__file__).parents[2]

# A process of its own, since forked ones must not inherit what other tests have left behind.
SCRIPT = """
import json, sys
sys.path[:0] = {paths!r}
from test_loop import Job, row, Path, train, time, Checkpoint

class Slow(Job):
    def progress(self, items, text, total=None):
        for item in items:
            time.sleep({delay})
            yield item

options = json.loads({options!r})
job = Slow(threads=2)
Checkpoint.__init__.__defaults__ = (0, True)  # a state after each step
try:
    train(row(**{row!r}), options, *map(Path, {stores!r}), *map(Path, {outputs!r}), job,
          fabric=dict(accelerator="cpu", devices={devices}, strategy="auto"))
finally:
    print(json.dumps(job.said))
"""


class Linear(torch.nn.Module):
    """No BatchNorm."""

    def __init__(self, classes, size):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.head = torch.nn.Linear(8, classes)

    def forward(self, images):
        return self.head(torch.relu(self.convolution(images)).mean((2, 3)))


def launched(folder, stores, options, devices=2, delay=0, **other):  # noqa: F811
    script = folder / "script.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    fields = {"paths": [str(Path(__file__).parent), str(SCRIPTS)], "options": json.dumps(options), "row": other}
    fields |= {"stores": [*map(str, stores)], "outputs": [*map(str, outputs(folder))]}
    script.write_text(textwrap.dedent(SCRIPT).format(devices=devices, delay=delay, **fields))
    # As inside an allocation of Slurm, which must not be mistaken for a launcher.
    here = os.environ | {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=here
    )


def finished(process, code=0):
    try:
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, error
    return out, error


def together(folder, stores, options, **other):  # noqa: F811
    """Weights and epochs of a training in two processes."""
    finished(launched(folder, stores, options, **other))
    weights, epochs, _ = outputs(folder)
    return models.load(weights)[0].state_dict(), tables.read(epochs, tables.EPOCHS)


def alike(found, expected, **tolerance):
    for key, value in expected[0].items():
        torch.testing.assert_close(found[0][key], value, **tolerance, msg=lambda text, key=key: f"{key}: {text}")
    for column in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr", "n"):
        np.testing.assert_allclose(found[1][column].astype(float), expected[1][column].astype(float), rtol=1e-3)


BROAD = {
    "augment": {"mixup": 0.8, "cutmix": 1.0, "crop_padding": 2},
    "accumulate": 2,
    "ema": 0.5,
    "clip_norm": 1.0,
    "validation": {"every": 1, "steps": 3, "images": 20, "select": "best"},
}
SLOW_SGD = SGD | {"lr": 0.01}


@pytest.mark.parametrize(
    "options",
    [recipe(**ADVERSARIAL), recipe(**{**ADVERSARIAL, **BROAD, "loss": "trades", "batch_size": 14})],
    ids=["adversarial", "trades-and-all"],
)
def test_two_processes_give_what_one_gives(tmp_path, stores, options):  # noqa: F811
    # resnet8 has BatchNorm; 14 images in parts of 7 are shares of 4 and 3.
    expected, _ = run(tmp_path / "one", stores, options)
    found = together(tmp_path / "two", stores, options)
    alike(found, expected, rtol=2e-3, atol=2e-4)
    for column in ("one_step_accuracy", "robust_accuracy", "selected", "eps"):
        assert found[1][column].tolist() == expected[1][column].tolist()


def test_three_processes_share_out_the_batches_of_a_network_without_batchnorm(tmp_path, stores):  # noqa: F811
    options = recipe(**ADVERSARIAL, optimizer=SLOW_SGD)
    other = {"arch": "cait_xxs24_224"}  # LayerNorm only
    del other
    expected, _ = run(tmp_path / "one", stores, options)
    alike(together(tmp_path / "three", stores, options, devices=3), expected, rtol=2e-3, atol=2e-4)
