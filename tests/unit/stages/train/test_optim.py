"""Optimisers and learning rates: published values, scaling with the batch, and which weights decay."""

import math

import pytest
import torch
from trainings import recipe

from mettle import models
from mettle.models import optim

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
def test_scaling_changes_the_peak_learning_rate_alone(scaling, factor):
    options = ADAMW | {"scaling": scaling, "base_batch": 64}
    found = by_epoch(110, epochs=100, batch_size=256, optimizer=options, schedule=LIGHT)
    assert found == by_epoch(110, epochs=100, optimizer=ADAMW | {"lr": factor * 5e-4}, schedule=LIGHT)
    assert (found[0], found[109]) == pytest.approx((1e-6, 1e-5), rel=1e-12)


def test_learning_rates_of_the_light_recipes_fine_tuning_on_cifar():
    options = ADAMW | {"lr": 2e-4, "scaling": "sqrt", "base_batch": 512}
    schedule = LIGHT | {"warmup_epochs": 5, "min_lr": 5e-6, "cooldown_epochs": 2}
    found = by_epoch(22, epochs=20, batch_size=1024, optimizer=options, schedule=schedule)
    assert (found[0], found[20], found[21]) == pytest.approx((1e-6, 5e-6, 5e-6), rel=1e-12)
    cosine = [5e-6 + (2e-4 * 2**0.5 - 5e-6) * (1 + math.cos(math.pi * t / 20)) / 2 for t in range(5, 20)]
    assert found[5:20] == pytest.approx(cosine, rel=1e-12)
    assert optim.sentence(recipe(batch_size=1024, accumulate=4, optimizer=options), 8) == (
        "batch 1024 (accumulate 4, processes 8), peak learning rate 0.000283 = 0.0002 x 1.41 "
        "(scaling sqrt, base_batch 512)"
    )


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


class Two(torch.nn.Module):
    """Two linear layers; the second is the last."""

    def __init__(self):
        super().__init__()
        self.first, self.head = (torch.nn.Linear(3, 3, bias=False) for _ in range(2))
        for layer in (self.first, self.head):
            torch.nn.init.constant_(layer.weight, 0.5)
            layer.weight.grad = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0], [0.0, 0.0, 0.001]])

    def forward(self, x):
        return self.head(self.first(x.mean((2, 3))))


@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_clipping(mode):
    net = models.Classifier(Two(), [0.5] * 3, [0.25] * 3, 3)
    first, last = net.network.first.weight, net.network.head.weight
    before = last.grad.clone()
    optim.clip(net, recipe(clip_norm=0.1, clip_mode=mode))
    if mode == "norm":
        for value in (first, last):
            torch.testing.assert_close(value.grad, before * 0.1 / (before.norm() * 2**0.5), rtol=1e-4, atol=0)
    elif mode == "value":
        assert torch.equal(first.grad, before.clamp(-0.1, 0.1)) and torch.equal(last.grad, first.grad)
    else:
        longest = 0.1 * first.norm(dim=1)
        torch.testing.assert_close(first.grad.norm(dim=1)[:2], longest[:2].detach(), rtol=1e-4, atol=0)
        assert torch.equal(first.grad[2], before[2])
        assert torch.equal(last.grad, before), "the last layer is left out"


def test_agc_leaves_out_both_heads_of_a_distilled_transformer():
    net = models.create("deit_tiny_distilled_patch16_224", 10, 32, [0.5] * 3, [0.25] * 3, seed=0)
    for value in net.parameters():
        value.grad = torch.full_like(value, 100.0)
    optim.clip(net, recipe(clip_norm=1e-3, clip_mode="agc"))
    untouched = {name for name, value in net.named_parameters() if (value.grad == 100).all()}
    assert untouched == {f"network.{head}.{kind}" for head in ("head", "head_dist") for kind in ("weight", "bias")}


def test_without_a_bound_gradients_stay():
    net = models.Classifier(Two(), [0.5] * 3, [0.25] * 3, 3)
    net.network.first.weight.grad.fill_(100)
    optim.clip(net, recipe())
    assert net.network.first.weight.grad.min() == 100
