"""Dense tasks in two processes on the CPU, by gloo: the weights of one process, and one state of training."""

import json
import signal
from pathlib import Path

import pytest
import torch
from dense_trainings import detection, equal, outputs, recipe, result, run

from processes import finished, started
from waits import until_alive

# Batches of 4 and 5 images. What is drawn in training, as dropout is, each process draws for itself.
SEGMENTATION = {
    "batch_size": 5,
    "upernet": {"channels": 8, "pool_scales": [1, 2], "auxiliary_channels": 8, "dropout": 0},
    "optimizer": {"name": "sgd", "lr": 0.01, "weight_decay": 0.0},
    "augment": {"horizontal_flip": True, "prime": {}},
    "validation": {"every": 1},
}
CODE = """
import json, time
from pathlib import Path
from dense_trainings import Job, run

class Slow(Job):
    def say(self, text):
        print(text, flush=True)

    def progress(self, items, text, total=None):
        for item in super().progress(items, text, total):
            time.sleep({delay})
            yield item

run(Path({folder!r}), {stores!r}, json.loads({options!r}), job=Slow(threads=2),
    fabric={{"accelerator": "cpu", "devices": 2}})
"""


def together(folder, stores, options, delay=0.0):
    """A process that trains in two."""
    fields = {"folder": str(folder), "stores": [*map(str, stores)], "options": json.dumps(options), "delay": delay}
    return started(folder, CODE.format(**fields), Path(__file__).parent)


def test_segmentation_learns_what_one_process_learns(tmp_path, streets_stores):
    options = recipe(**SEGMENTATION)
    said, _ = finished(together(tmp_path / "two", streets_stores, options))
    assert "processes 2" in said and said.count("epoch 1: loss") == 1
    (expected, alone), _ = run(tmp_path / "one", streets_stores, options)
    weights, epochs = result(tmp_path / "two")
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert epochs["n"].tolist() == alone["n"].tolist() == [12, 12]
    assert epochs["train_loss"].tolist() == pytest.approx(alone["train_loss"].tolist(), rel=1e-3)
    assert epochs["score"].tolist() == pytest.approx(alone["score"].tolist(), abs=0.01)


def test_asked_to_end_both_save_and_go_on_to_the_same_end(tmp_path, streets_stores):
    options = recipe(**SEGMENTATION)
    process = together(tmp_path / "cut", streets_stores, options, delay=0.3)
    state = outputs(tmp_path / "cut")[2] / "last.pt"
    until_alive(process, "a state is saved", state.exists)
    process.send_signal(signal.SIGTERM)
    _, error = finished(process, code=1)
    assert error.strip().splitlines()[-1].startswith("stopped by a signal: the state is saved"), error
    said, _ = finished(together(tmp_path / "cut", streets_stores, options))
    assert "resuming from epoch" in said
    finished(together(tmp_path / "whole", streets_stores, options))
    assert equal(result(tmp_path / "cut"), result(tmp_path / "whole"))


def test_detection_trains_in_two_processes(tmp_path, streets_stores):
    """Its losses are means over proposals that are drawn, so that two processes learn something else than one."""
    options = detection(validation={"every": 1})
    finished(together(tmp_path / "two", streets_stores, options))
    weights, epochs = result(tmp_path / "two")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert epochs["test_n"].tolist() == [5] * len(epochs) and epochs["n"].tolist() == [12] * len(epochs)


def test_a_batch_without_an_image_for_each_process_is_refused(tmp_path, streets_stores):
    _, error = finished(together(tmp_path, streets_stores, recipe(**SEGMENTATION | {"batch_size": 1})), code=1)
    assert "a batch of 1 images has none for some of 2 processes: raise batch_size, or" in error.splitlines()[-1]
    assert not outputs(tmp_path)[0].exists()
