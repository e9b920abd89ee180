"""Several processes on the CPU, by gloo: the same losses and weights as one process, and one state of training.

Each has all weights (`ddp`), or a share of them (`fsdp`).
"""

import json
import os
import signal
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from trainings import ADVERSARIAL, ATTACK, SGD, differing, files, recipe, result, row, run, train

from jobs import Job
from mettle import models
from mettle.data.store import Store
from mettle.distributed import ProcessGroup, portion, sharded
from mettle.distributed.launch import launch
from mettle.stages.train import loop
from processes import finished, started
from waits import until_alive

SCRIPT = """
import json
import time
from pathlib import Path
from jobs import Job, killed
from trainings import files, models, row, train
from test_parallel import PLAIN

class Slow(Job):
    def progress(self, items, text, total=None):
        for item in super().progress(items, text, total):
            time.sleep({delay})
            yield item

models.ARCHITECTURES["plain"] = PLAIN
for options, about, folder, strategy, at in json.loads({trainings!r}):
    job = Slow(at, killed, threads=2)
    try:
        train(row(**about), options, files({stores!r}, Path(folder)), job,
              dict(accelerator="cpu", devices={devices}, strategy=strategy, checkpoint_seconds=0))
    except RuntimeError:
        if at is None:
            raise
        print("killed")
"""


class Plain(torch.nn.Module):
    """A network without BatchNorm."""

    def __init__(self, classes, size):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.head = torch.nn.Linear(8, classes)

    def forward(self, images):
        return self.head(torch.relu(self.convolution(images)).mean((2, 3)))


PLAIN = models.Architecture(Plain, "convolution", "none")


def launched(folder, stores, options, devices=2, delay=0, **other):
    """A process that trains a model in two processes."""
    return training_all(folder, stores, [(options, other, str(folder), "ddp", None)], devices, delay)


def training_all(folder, stores, trainings, devices=2, delay=0):
    """A process that trains one model after the other."""
    fields = {"trainings": json.dumps(trainings), "stores": [*map(str, stores)], "devices": devices, "delay": delay}
    return started(folder, textwrap.dedent(SCRIPT).format(**fields), Path(__file__).parent)


def together(folder, stores, options, **other):
    """Weights and epochs of a training in two processes."""
    finished(launched(folder, stores, options, **other))
    return result(folder)


def alike(found, expected, **tolerance):
    for key, value in expected[0].items():
        torch.testing.assert_close(found[0][key], value, **tolerance, msg=lambda text, key=key: f"{key}: {text}")
    for column in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "lr", "n"):
        np.testing.assert_allclose(found[1][column].astype(float), expected[1][column].astype(float), rtol=1e-3)


# A small learning rate: rounding errors grow with every step, through BatchNorm of few images above all.
SLOW = SGD | {"lr": 0.002}
BROAD = {
    "loss": "trades",
    "augment": {"mixup": 0.8, "cutmix": 1.0, "crop_padding": 2},
    "accumulate": 2,
    "batch_size": 30,
    "ema": 0.5,
    "clip_norm": 1.0,
    "validation": {"every": 1, "steps": 3, "images": 20, "select": "best"},
}


@pytest.mark.parametrize("other", [{}, BROAD], ids=["adversarial", "trades-and-all"])
def test_two_processes_give_what_one_gives(tmp_path, stores, other):
    # With BatchNorm over both. Of 64 images in batches of 30 at most, parts of 11 and 10 are shares of 6, 5 and 5.
    options = recipe(**{**ADVERSARIAL, "optimizer": SLOW, **other})
    expected, _ = run(tmp_path / "one", stores, options)
    found = together(tmp_path / "two", stores, options)
    alike(found, expected, rtol=1e-3, atol=1e-4)
    for column in ("one_step_accuracy", "robust_accuracy", "selected", "eps", "alarm"):
        assert found[1][column].tolist() == expected[1][column].tolist()


def test_three_processes_share_a_network_without_batchnorm(tmp_path, stores, monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "plain", PLAIN)
    options = recipe(**ADVERSARIAL)
    train(row(arch="plain"), options, files(stores, tmp_path / "one"), Job())
    found = together(tmp_path / "three", stores, options, devices=3, arch="plain")
    alike(found, result(tmp_path / "one"), rtol=1e-4, atol=1e-6)


def test_asked_to_end_all_save_and_the_next_run_goes_on_to_the_same_end(tmp_path, stores):
    # Each process has BatchNorm statistics of its own until the end of an epoch, and has them again afterwards.
    options = recipe(**ADVERSARIAL, batch_norm="average", optimizer=SLOW, ema=0.5)
    process = launched(tmp_path / "cut", stores, options, delay=0.2)
    state = tmp_path / "cut" / "resume" / "last.pt"
    until_alive(process, "a state is saved", state.exists)
    process.send_signal(signal.SIGTERM)
    _, error = finished(process, code=1)
    assert error.strip().splitlines()[-1].startswith("stopped by a signal: the state is saved"), error
    kept = torch.load(state, weights_only=True)
    for model, buffers in zip(kept["models"], kept["buffers"], strict=True):
        first, second = buffers["network.stem.1.running_mean"]
        assert not torch.equal(first, second)
        assert torch.equal(first, model["network.stem.1.running_mean"])
    whole = together(tmp_path / "whole", stores, options)
    found = together(tmp_path / "cut", stores, options)
    assert differing(found[0], whole[0]) == []
    expected, _ = run(tmp_path / "one", stores, options)
    assert differing(found[0], expected[0]), "statistics of half a batch change the weights"


def test_a_signal_that_comes_while_the_state_is_written_ends_no_process_alone():
    checkpoint = SimpleNamespace(asked_to_end=False, due=lambda: True)
    checkpoint.save = lambda state: setattr(checkpoint, "asked_to_end", True)  # as its handler does
    ProcessGroup().keep(checkpoint, dict)
    assert checkpoint.asked_to_end, "nor is it forgotten"
    with pytest.raises(SystemExit, match=r"^stopped by a signal: the state is saved"):
        ProcessGroup().keep(checkpoint, dict)


@pytest.mark.parametrize(("policy", "expected"), [("sync", 1.0), ("local", 4.0), ("average", 2.0)])
def test_running_statistics_at_the_end_of_an_epoch(policy, expected):
    group, net = ProcessGroup(), torch.nn.BatchNorm2d(3)
    group.size = 2
    group.sum = lambda values: values * 4  # as if the others had three times as much
    net.running_mean.fill_(1.0)
    group.settle(net, policy)
    assert net.running_mean.tolist() == [expected] * 3
    assert net.num_batches_tracked == 0


def test_the_failure_of_a_process_is_one_sentence(tmp_path, stores):
    _, error = finished(launched(tmp_path, stores, recipe(optimizer=SGD | {"lr": 1e30})), code=1)
    last = error.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: ValueError: training loss of resnet8-tiny-s0 is "), error
    assert not (tmp_path / "weights.safetensors").exists()


# Weights in shards


ONE_EPOCH = {"epochs": 1, "validation": {"every": 1, "steps": 2, "images": 9}}
# Of BROAD's 3 batches of validation images the first process has two and the second one, and one more to keep step.
IN_SHARDS = {
    "trades-and-all": ({}, {"optimizer": SLOW, **BROAD}),
    "adamw-in-blocks": (
        {"arch": "xcit_mini"},
        ONE_EPOCH | {"optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.05}},
    ),
    "lamb-value": (
        {},
        ONE_EPOCH
        | {"optimizer": {"name": "lamb", "lr": 0.001, "weight_decay": 0.02}, "clip_norm": 0.01, "clip_mode": "value"},
    ),
    "best-iterate-bf16": ({}, ONE_EPOCH | {"attack": ATTACK | {"best": True}, "precision": "bf16", "optimizer": SLOW}),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory, stores):
    """Folder of all trainings in shards, and what was said: one process starts them, since imports take long."""
    folder = tmp_path_factory.mktemp("shards")
    trainings = [(name, name, "fsdp", None) for name in IN_SHARDS]
    for name, first, then in (("both", "fsdp", "fsdp"), ("first", "fsdp", "ddp"), ("then", "ddp", "fsdp")):
        trainings += [("trades-and-all", name, first, 4), ("trades-and-all", name, then, None)]
    ready = []
    for what, name, strategy, at in trainings:
        about, other = IN_SHARDS[what]
        ready.append((recipe(**ADVERSARIAL | other), about, str(folder / name), strategy, at))
    return folder, finished(training_all(folder, stores, ready))[0]


@pytest.mark.parametrize("name", IN_SHARDS)
def test_weights_in_shards_give_what_whole_ones_give(shards, tmp_path, stores, name):
    about, other = IN_SHARDS[name]
    train(row(**about), recipe(**ADVERSARIAL | other), files(stores, tmp_path), Job())
    found, expected = result(shards[0] / name), result(tmp_path)
    alike(found, expected, rtol=1e-3, atol=2e-3 if "bf16" in name else 1e-4)
    for column in ("one_step_accuracy", "robust_accuracy", "robust_n", "selected", "eps", "alarm"):
        assert found[1][column].tolist() == expected[1][column].tolist()


def test_a_state_is_that_of_whole_weights_so_that_either_goes_on(shards):
    folder, said = shards
    assert said.count("killed") == 3
    whole = result(folder / "trades-and-all")
    assert differing(result(folder / "both")[0], whole[0]) == []
    for name in ("first", "then"):
        alike(result(folder / name), whole, rtol=1e-3, atol=1e-4)


class Reaching(torch.nn.Module):
    """A network that takes weights out of a block in place of running it."""

    def __init__(self, classes, size):
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size**2, 8))])
        self.head = torch.nn.Linear(8, classes)

    def forward(self, images):
        return self.head(torch.nn.functional.linear(images.flatten(1), self.blocks[0][1].weight))


@pytest.fixture
def one_process():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_network_that_cannot_be_in_shards_is_named(one_process, monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "reaching", models.Architecture(Reaching, "linear", "none"))
    model = models.create("reaching", 10, 32, [0.5] * 3, [0.25] * 3, 0)
    with pytest.raises(ValueError, match=r"^Reaching does not run in shards \(.*\): set train\.strategy to 'ddp'$"):
        sharded.shard(model, torch.device("cpu"))


def test_each_process_holds_its_share_of_the_weights(one_process):
    model = sharded.shard(models.create("xcit_mini", 10, 32, [0.5] * 3, [0.25] * 3, 0), torch.device("cpu"))
    n = sum(parameter.numel() for parameter in model.parameters())
    assert sharded.sentence(model) == f"weights in shards: the first of 1 processes holds {n:,} of {n:,}"


def test_blocks_are_the_innermost_of_what_a_network_is_a_chain_of():
    network = models.create("xcit_mini", 10, 32, [0.5] * 3, [0.25] * 3, 0).network
    found = sharded.blocks(network)
    assert {*network.blocks, *network.cls_attn_blocks} <= {*found}
    assert not any(inner in found for block in found for inner in block.modules() if inner is not block)


def test_what_shards_cannot_do_is_refused(stores):
    with pytest.raises(
        ValueError,
        match=r"^configuration: train\.strategy is 'fsdp', but there is one process to shard weights over: give the "
        r"rule `train` more GPUs or tasks, set train\.devices, or set train\.strategy to 'ddp'$",
    ):
        launch(print, {"accelerator": "auto", "devices": None, "strategy": "fsdp"}, gpus=1)
    options = recipe(**ADVERSARIAL, clip_norm=1, clip_mode="agc")
    with pytest.raises(ValueError, match=r"^recipe 'tiny': clip_mode 'agc' needs full weights, which 'fsdp' does not"):
        loop.Training(row(), options, *map(Store, stores), Job(), group=ProcessGroup(strategy="fsdp"))
    options = recipe(**ADVERSARIAL | {"attack": ATTACK | {"best": True, "precision": "bf16"}})
    with pytest.raises(
        ValueError, match=r"^recipe 'tiny': attack\.best with attack\.precision 'bf16' asks doubtful images"
    ):
        loop.Training(row(), options, *map(Store, stores), Job(), group=ProcessGroup(strategy="fsdp"))


@pytest.mark.parametrize(("strategy", "last"), [("ddp", ([2], 1)), ("fsdp", ([2, 0], 1))])
def test_shards_need_as_many_turns_from_every_process(strategy, last):
    group = ProcessGroup(strategy=strategy)
    group.size = 3
    for group.rank, expected in enumerate([([0, 3], 2), ([1, 4], 2), last]):
        assert group.turns(range(5)) == expected


# Shares


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [7, 8, 9, 16])
def test_shares_hold_every_image_once_and_partners_together(n, count):
    parts = [portion(np.arange(n), index, count) for index in range(count)]
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    for part in parts:
        assert (part + part[::-1] == n - 1).all()
    assert portion(np.arange(n), 0, 1).tolist() == list(range(n))


def test_a_share_without_images_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^a batch of 4 images has no pair of images for each of 3 shares: raise batch_size, or lower accumulate "
        r"or the configuration's train\.devices$",
    ):
        portion(np.arange(4), 0, 3)


def test_one_process_on_a_device_of_choice_needs_no_other(monkeypatch):
    seen = []
    options = {"accelerator": "cpu", "devices": 1, "strategy": "ddp"}
    launch(lambda group: seen.append((group.size, group.policy(Job(), "fp32")[0].device.type, os.getpid())), options)
    assert seen == [(1, "cpu", os.getpid())]


def test_alone_a_group_does_nothing():
    group, net = ProcessGroup(), torch.nn.Linear(2, 2)
    values = torch.rand(3)
    assert group.sum(values) is values
    assert group.sums(1.0, 2.5) == [1.0, 2.5]
    assert group.any(True, False) == [True, False]
    group.add_gradients(net.parameters())
    assert net.weight.grad is None
    assert group.first
