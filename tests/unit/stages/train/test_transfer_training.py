"""Trainings that start from a base: what of the backbone moves under each `transfer`, and what is refused."""

import hashlib
import json

import pytest
import torch
from trainings import SGD, files, one_epoch, recipe, row

from imports import ROOT
from jobs import Job
from mettle import models, schema
from mettle.data.store import Store
from mettle.distributed import sharded
from mettle.models import optim
from mettle.models.transfer import MODES
from mettle.models.weights import read
from mettle.stages.train import loop, train

NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT = {"size": 32, "resize": None, "interpolation": "bilinear", "threat": "none", "eps": 0.0, "dataset": "other"}
ARCH = {"resnet": "resnet10t_half", "swin": "swin_nano"}


@pytest.fixture(autouse=True)
def swin(monkeypatch):
    def build(classes, size, **options):
        import timm

        shape = {"img_size": size, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1), "window_size": 4}
        return timm.create_model("swin_tiny_patch4_window7_224", num_classes=classes, **shape, **options)

    monkeypatch.setitem(models.ARCHITECTURES, "swin_nano", models.Architecture(build, "Swin", "none"))


@pytest.fixture
def bases(tmp_path):
    found = {}
    for name, arch in ARCH.items():
        model = models.create(arch, 7, 32, **NORM, seed=5)
        models.save(tmp_path / f"{name}.safetensors", model, ABOUT | NORM | {"arch": arch, "classes": 7})
        found[name] = tmp_path / f"{name}.safetensors"
    return found


def started(stores, base, transfer, arch="resnet10t_half", job=None, **options):
    given = row(arch=arch, base="base", transfer=transfer)
    options = recipe(**{"drop_path": 0.2, "optimizer": SGD | {"decay_all": True}} | options)
    return loop.Training(given, options, *map(Store, stores), job or Job(), None, [base])


def digests(model):
    """Of every parameter and buffer outside of the head."""
    state = {key: value for key, value in model.network.state_dict().items() if not key.startswith(("fc.", "head."))}
    return {key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in state.items()}


def moved(before, after):
    return {key for key in before if before[key] != after[key]}


HARD = {
    "ema": 0.5,
    "clip_norm": 1.0,
    "schedule": {"name": "cosine", "warmup_epochs": 1, "warmup_lr": 0.1, "min_lr": 0.1},
}


@pytest.mark.parametrize("options", [{}, HARD, {"augment": {"prime": {}}, "loss": "jsd"}], ids=["plain", "hard", "jsd"])
@pytest.mark.parametrize("family", ARCH)
def test_a_fixed_backbone_is_the_same_to_the_bit_after_training(stores, tmp_path, bases, family, options):
    made = started(stores, bases[family], "fixed", ARCH[family], **options)
    before, head = digests(made.model), [value.clone() for value in made.model.last.parameters()]
    given = {key.removeprefix("network."): value for key, value in read(bases[family])[0].items()}
    assert all(torch.equal(made.model.network.state_dict()[key], given[key]) for key in before)
    one_epoch(made, tmp_path)
    assert digests(made.model) == before
    assert not any(map(torch.equal, head, made.model.last.parameters())), "the head has trained"
    assert all(digests(model) == before for model in made._models), "its average too"


def test_under_a_learning_rate_of_0_batchnorm_drifts_and_nothing_else(stores, tmp_path, bases):
    made = started(stores, bases["resnet"], "fixed_paper", **HARD)
    before, buffers = digests(made.model), {name.removeprefix("network.") for name, _ in made.model.named_buffers()}
    one_epoch(made, tmp_path)
    drifted = moved(before, digests(made.model))
    assert drifted == {key for key in before if key in buffers}
    assert any("running_var" in key for key in drifted)
    assert all(value.grad is not None for value in made.model.parameters()), "gradients are computed, as in the study"


def test_under_a_learning_rate_of_0_the_position_biases_of_swin_go_on_training(stores, tmp_path, bases):
    made = started(stores, bases["swin"], "fixed_paper", "swin_nano", **HARD)
    before = digests(made.model)
    one_epoch(made, tmp_path)
    found = moved(before, digests(made.model))
    assert found and all(key.endswith("relative_position_bias_table") for key in found)


@pytest.mark.parametrize("transfer", ["full", "full_prime"])
def test_a_full_network_trains_everywhere(stores, tmp_path, bases, transfer):
    made = started(stores, bases["resnet"], transfer)
    before = digests(made.model)
    one_epoch(made, tmp_path)
    assert moved(before, digests(made.model)) == set(before)


@pytest.mark.parametrize("transfer", ["fixed", "fixed_paper"])
def test_a_base_without_part_of_the_backbone_is_refused(stores, tmp_path, bases, transfer):
    state, about = read(bases["resnet"])
    lacking = {key: value for key, value in state.items() if "layer2.0.conv1" not in key}
    models.save(tmp_path / "part.safetensors", lacking, about)
    message = (
        rf"^model 'resnet8-tiny-s0': transfer '{transfer}' trains the head alone, but .*part\.safetensors lacks "
        r"layer2\.0\.conv1\.weight of the backbone, which would stay random: take a base of the same architecture, or "
        r"transfer 'full'$"
    )
    with pytest.raises(ValueError, match=message):
        started(stores, tmp_path / "part.safetensors", transfer)
    started(stores, tmp_path / "part.safetensors", "full")
    with pytest.raises(ValueError, match=r"swin\.safetensors \(swin_nano\) does not fit ResNet"):
        started(stores, bases["swin"], transfer)


@pytest.mark.parametrize("transfer", ["fixed", "fixed_paper"])
def test_a_fixed_backbone_in_shards_is_refused(transfer):
    with pytest.raises(
        ValueError, match=rf"^transfer '{transfer}' leaves most weights out of training, which strategy"
    ):
        sharded.check(recipe(), transfer)
    sharded.check(recipe(), "full")


@pytest.mark.parametrize("transfer", MODES)
def test_log_and_metadata_say_what_trains(stores, tmp_path, bases, transfer):
    job, given = Job(), row(arch="resnet10t_half", base="base", transfer=transfer)
    train(given, recipe(epochs=1), files(stores, tmp_path, base=bases["resnet"]), job)
    assert f"transfer {transfer}: {MODES[transfer]}" in job.said
    _, about = read(tmp_path / "weights.safetensors")
    assert about["transfer"] == transfer
    json.dumps(about)


def test_the_learning_rates_of_the_study():
    options = schema.check(schema.read_yaml(ROOT / "config/recipes/transfer_classification.yaml"), "recipe", "here")
    assert (options["batch_size"], options["optimizer"]["weight_decay"]) == (64, 5e-4)
    optimizer, scheduler = optim.make(models.create("resnet8", 10, 32, **NORM, seed=0), options, 7)
    found = []
    for epoch in range(options["epochs"]):
        scheduler.step(epoch)
        (group,) = optimizer.param_groups
        found.append(group["lr"])
    assert found == pytest.approx([rate for rate in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6) for _ in range(30)])
    assert (group["momentum"], group["nesterov"]) == (0.9, False)
