"""Dense tasks in two processes on the CPU, by gloo: the weights of one process, and one state of training."""

import json
import signal
from pathlib import Path

import pytest
import torch
from dense_trainings import Job, detection, equal, recipe, result, row, run

from mettle.data.store import Store
from mettle.distributed import ProcessGroup
from mettle.stages.transfer.training import Training
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

for folder, options in json.loads({trainings!r}):
    run(Path(folder), {stores!r}, options, job=Slow(threads=2), fabric={{"accelerator": "cpu", "devices": 2}})
"""


def together(folder, stores, *trainings, delay=0.0):
    """A process that trains in two; of several trainings, each has the folder of its number."""
    told = json.dumps([(str(folder / str(number)), options) for number, options in enumerate(trainings)])
    code = CODE.format(trainings=told, stores=[*map(str, stores)], delay=delay)
    return started(folder, code, Path(__file__).parent)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, streets_stores):
    """Weights and epochs of segmentation and of detection, trained in two processes, and what these said."""
    folder = tmp_path_factory.mktemp("whole")
    trainings = recipe(**SEGMENTATION), detection(validation={"every": 1})
    said, _ = finished(together(folder, streets_stores, *trainings))
    return result(folder / "0"), result(folder / "1"), said


def test_segmentation_learns_what_one_process_learns(tmp_path, streets_stores, whole):
    (weights, epochs), _, said = whole
    assert said.count("processes 2") == said.count("epoch 1: loss") == 2, "by one process of each training"
    (expected, alone), _ = run(tmp_path, streets_stores, recipe(**SEGMENTATION))
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert epochs["n"].tolist() == alone["n"].tolist() == [12, 12]
    assert epochs["train_loss"].tolist() == pytest.approx(alone["train_loss"].tolist(), rel=1e-3)
    assert epochs["score"].tolist() == pytest.approx(alone["score"].tolist(), abs=0.01)


def test_asked_to_end_both_save_and_go_on_to_the_same_end(tmp_path, streets_stores, whole):
    options = recipe(**SEGMENTATION)
    process = together(tmp_path, streets_stores, options, delay=0.3)
    state = tmp_path / "0" / "resume" / "last.pt"
    until_alive(process, "a state is saved", state.exists)
    process.send_signal(signal.SIGTERM)
    _, error = finished(process, code=1)
    assert error.strip().splitlines()[-1].startswith("stopped by a signal: the state is saved"), error
    said, _ = finished(together(tmp_path, streets_stores, options))
    assert "resuming from epoch" in said
    assert equal(result(tmp_path / "0"), whole[0])


def test_detection_trains_in_two_processes(whole):
    """Its losses are means over proposals that are drawn, so that two processes learn something else than one."""
    weights, epochs = whole[1]
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert epochs["test_n"].tolist() == [5] * len(epochs) and epochs["n"].tolist() == [12] * len(epochs)


def test_a_batch_without_an_image_for_each_process_is_refused(streets_stores):
    group, stores = ProcessGroup(), map(Store, streets_stores)
    group.size = 2
    with pytest.raises(ValueError, match=r"^a batch of 1 images has none for some of 2 processes: raise batch_size"):
        Training(row(), recipe(**SEGMENTATION | {"batch_size": 1}), *stores, Job(threads=2), group=group)
