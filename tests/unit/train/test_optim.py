"""Optimisers and learning rates: published values, scaling with the batch, and which weights decay."""

import math

import pytest
import torch
from trainings import recipe

from mettle import models
from mettle.train import optim

# Schedule of the light recipe's ImageNet training (Debenedetti et al. 2023).
LIGHT = {"name": "cosine", "by": "epoch", "warmup_epochs": 10, "warmup_lr": 1e-6, "min_lr": 1e-5, "cooldown_epochs": 10}
ADAMW = {"name": "adamw", "lr": 5e-4, "weight_decay": 0.5}


def made(arch="resnet8", size=32, updates=7, **other):
    net = models.create(arch, 10, size, [0.5] * 3, [0.25] * 3, seed=0)
    return net, *optim.make(net, recipe(**other), updates)


def by_epoch(count, **other):
    _, optimizer, scheduler = made(**other)
    found = []
    for epoch in range(count):
        scheduler.step(epoch)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_the_schedule_of_the_light_recipe():
    found = by_epoch(110, epochs=100, optimizer=ADAMW, schedule=LIGHT)
    expected = {0: 1e-6, 9: 4.50e-4, 10: 4.88e-4, 50: 2.55e-4, 99: 1.01e-5} | dict.fromkeys(range(100, 110), 1e-5)
    for epoch, value in expected.items():
        assert float(f"{found[epoch]:.3g}") == pytest.approx(value, rel=6e-3), epoch
    cosine = [1e-5 + (5e-4 - 1e-5) * (1 + math.cos(math.pi * t / 100)) / 2 for t in range(10, 100)]
    assert found[10:100] == pytest.approx(cosine, rel=1e-12)


def test_multistep_drops_at_its_milestones():
    schedule = {"name": "multistep", "by": "epoch", "milestones": [2, 3], "factor": 0.5}
    assert by_epoch(5, epochs=5, schedule=schedule) == pytest.approx([0.05, 0.05, 0.025, 0.0125, 0.0125])


@pytest.mark.parametrize("updates", [1, 3, 7])
def test_by_update_multistep_drops_at_the_first_update_of_its_milestones(updates):
    schedule = {"name": "multistep", "milestones": [2, 3], "factor": 0.5}
    _, optimizer, scheduler = made(updates=updates, epochs=5, schedule=schedule)
    found = []
    for update in range(5 * updates):
        scheduler.step_update(update)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([0.05] * 2 * updates + [0.025] * updates + [0.0125] * 2 * updates)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_scaling_changes_all_learning_rates_of_the_recipe(scaling, factor):
    options = ADAMW | {"scaling": scaling, "base_batch": 64}
    found = by_epoch(110, epochs=100, batch_size=256, optimizer=options, schedule=LIGHT)
    plain = by_epoch(110, epochs=100, batch_size=256, optimizer=ADAMW, schedule=LIGHT)
    assert found == pytest.approx([factor * value for value in plain], rel=1e-12)


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adamw", "AdamW"), ("adam", "Adam"), ("lamb", "Lamb")])
def test_optimisers_by_name(name, kind):
    _, optimizer, _ = made(optimizer={"name": name, "lr": 1e-3, "weight_decay": 0.1, "momentum": 0.8})
    assert type(optimizer).__name__ == kind
    assert {group.get("betas", (0.8, 0.999)) for group in optimizer.param_groups} == {(0.8, 0.999)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_what_the_network_excludes_is_not_decayed():
    net, optimizer, _ = made("xcit_mini", optimizer=ADAMW)
    decayed = {id(value) for group in optimizer.param_groups if group["weight_decay"] for value in group["params"]}
    names = {name for name, value in net.named_parameters() if value.ndim > 1 and id(value) not in decayed}
    assert names == {"network.cls_token", "network.pos_embed.token_projection.weight"}


@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_clipping(mode):
    net = torch.nn.Linear(3, 3, bias=False)
    torch.nn.init.constant_(net.weight, 0.5)
    net.weight.grad = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0], [0.0, 0.0, 0.001]])
    before = net.weight.grad.clone()
    optim.clip(net, recipe(clip_norm=0.1, clip_mode=mode))
    found = net.weight.grad
    if mode == "norm":
        torch.testing.assert_close(found, before * 0.1 / before.norm(), rtol=1e-4, atol=0)
    elif mode == "value":
        assert torch.equal(found, before.clamp(-0.1, 0.1))
    else:
        longest = 0.1 * net.weight.norm(dim=1)
        torch.testing.assert_close(found.norm(dim=1)[:2], longest[:2].detach(), rtol=1e-4, atol=0)
        assert torch.equal(found[2], before[2])


def test_without_a_bound_gradients_stay():
    net = torch.nn.Linear(3, 3)
    net.weight.grad = torch.full((3, 3), 100.0)
    optim.clip(net, recipe())
    assert net.weight.grad.min() == 100
