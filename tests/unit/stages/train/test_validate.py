"""Accuracy during training: on a linear model in closed form, and the alarm on published numbers."""

import numpy as np
import pytest
import torch

from mettle import models
from mettle.data.loading import ImageSet
from mettle.data.store import Store
from mettle.stages.train import validate
from mettle.stages.train.validate import Passes

CPU = models.policy(1)


class Threshold(torch.nn.Module):
    """Two classes by the mean of an image: the second above 0.5, with weights that saturate nowhere."""

    def forward(self, images):
        mean = images.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1)


def images(stores):
    return ImageSet(Store(stores[1]), 32, None)


def test_clean_accuracy_and_loss_on_chosen_images(stores):
    held, net = images(stores), models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, 0)
    chosen = np.array([3, 9, 30])
    batch, labels, _ = held.__getitems__(chosen)
    with torch.no_grad():
        logits = net.eval()(batch)
    right = (logits.argmax(1) == labels).double().mean().item()
    expected = torch.nn.functional.cross_entropy(logits, labels).item(), right
    for size in (1, 2, 500):
        assert validate.evaluate(net, held, chosen, Passes(CPU, size)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_robust_accuracy_of_a_linear_model(stores, norm):
    # Enough steps in one direction reach the border of the ball: every pixel moves by eps, or by its share of it.
    held = images(stores)
    held.store.labels[:] = [int(held.arrays[k].float().mean() > 127.5) for k in range(32)]
    shift = 0.1 if norm == "linf" else 0.1 / 3072**0.5
    batch, labels, _ = held.__getitems__(range(32))
    sign = (1 - 2 * labels.float()).view(-1, 1, 1, 1)
    moved = (batch + shift * sign).clamp(0, 1).mean((1, 2, 3))
    expected = ((moved > 0.5) == labels.bool()).double().mean().item()
    found = validate.robust(Threshold(), held, np.arange(32), {"norm": norm, "eps": 0.1}, (40,), Passes(CPU, 7))
    assert found == pytest.approx([expected])
    assert validate.evaluate(Threshold(), held, np.arange(32), Passes(CPU, 9))[1] == 1.0


def test_robust_accuracy_depends_on_the_images_alone(stores):
    held, net = images(stores), models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, 0)
    attack, chosen = {"norm": "linf", "eps": 0.1}, np.arange(20)
    first = validate.robust(net, held, chosen, attack, (1, 3), Passes(CPU, 20))
    torch.manual_seed(9)
    assert validate.robust(net, held, chosen, attack, (1, 3), Passes(CPU, 3)) == first
    parts = [validate.robust(net, held, chosen[k::2], attack, (1, 3), Passes(CPU, 3)) for k in (0, 1)]
    assert np.mean(parts, 0) == pytest.approx(first)


def test_measuring_leaves_the_model_alone(stores):
    net = models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, 0).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    validate.robust(net, images(stores), np.arange(8), {"norm": "l2", "eps": 0.5}, (1, 2), Passes(CPU, 8))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert all(value.requires_grad for value in net.parameters())


# One-step and ten-step accuracy of Debenedetti et al. 2023's models on ImageNet, from their released tables.
HEALTHY = {"light": (0.5198, 0.4952), "resnet50": (0.4898, 0.4429), "convnext": (0.5274, 0.5074)}
FAILING = {59: (0.4436, 0.3822), 69: (0.4718, 0.3848), 89: (0.5299, 0.3348), 99: (0.5474, 0.2957)}


@pytest.mark.parametrize("pair", HEALTHY.values(), ids=HEALTHY)
def test_no_alarm_for_healthy_models(pair):
    assert validate.alarm(*pair, steps=10, limit=0.06) is None


@pytest.mark.parametrize("epoch", FAILING)
def test_the_failing_model_raises_the_alarm_from_its_peak_on(epoch):
    text = validate.alarm(*FAILING[epoch], steps=10, limit=0.06)
    one, many = FAILING[epoch]
    start = f"catastrophic overfitting: accuracy {one:.3f} under one step of PGD, {many:.3f} under 10; "
    assert text.startswith(start)
