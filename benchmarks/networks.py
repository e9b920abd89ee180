"""Networks and images that the benches share, made in seconds."""

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle import models
from mettle.data import digits
from mettle.data.item import decode
from mettle.models.stems import cifar_stem
from mettle.perturb import Draws, pgd_last
from mettle.perturb.goal import untargeted


def images(split: str, n: int) -> tuple[Tensor, Tensor]:
    """Digits at 32x32 as float32 (n, 3, 32, 32) in [0, 1], and their classes."""
    items = list(digits.read(None, split, 10, 0))[:n]
    pixels = np.stack([np.asarray(decode(item.data)) for item in items])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, torch.tensor([item.label for item in items])


def small(robust: bool, eps: float, epochs: int = 12) -> nn.Module:
    """A small residual network on digits, standard or trained with PGD-5 in Linf; the same every time."""
    policy = models.policy(torch.get_num_threads())
    model = models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, 0).train()
    x, y = images("train", 1297)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    updates = epochs * (len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, updates)
    generator = torch.Generator().manual_seed(0)
    for update in range(updates):
        chosen = torch.randint(len(x), (64,), generator=generator)
        inputs, labels = x[chosen], y[chosen]
        if robust:
            draws = Draws(update, chosen)
            ball = {"norm": "linf", "eps": eps, "steps": 5, "step_size": 0.3 * eps}
            inputs = pgd_last(model, inputs, untargeted(labels), draws=draws, policy=policy, **ball)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        schedule.step()
    return policy.place(model.eval())


def resnet18() -> nn.Module:
    """ResNet-18 for 32x32 images (11.2 M weights), random weights; normalisation inside."""
    torch.manual_seed(0)
    network = cifar_stem(timm.create_model("resnet18", num_classes=10))
    return models.Classifier(network, [0.5] * 3, [0.25] * 3, 32).eval()
