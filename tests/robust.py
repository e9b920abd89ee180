"""A small network that withstands small perturbations, trained on the spot, and digits that it has not seen."""

import io
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mettle import models
from mettle.data import digits
from mettle.perturb import Draws, pgd_last

RADII = {"l2": 1.5, "linf": 0.1}
_EPOCHS = 8


@cache
def robust(norm: str) -> tuple[nn.Module, Tensor, Tensor]:
    """The network of this norm, frozen, with 500 test digits and their labels; 90 % accurate or better."""
    images, labels = _digits("train")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _network()
        optimiser = torch.optim.Adam(model.parameters(), 2e-3)
        for epoch in range(_EPOCHS):
            eps = RADII[norm] * min(1, (epoch + 1) / 4)  # at full strength from the start it would learn nothing
            for index in torch.randperm(len(images)).split(64):
                attacked = pgd_last(
                    model,
                    images[index],
                    labels[index],
                    norm=norm,
                    eps=eps,
                    steps=3,
                    draws=Draws(epoch, index),
                    policy=models.Policy(torch.device("cpu")),
                )
                optimiser.zero_grad()
                F.cross_entropy(model(attacked), labels[index]).backward()
                optimiser.step()
    return model.eval().requires_grad_(False), *_digits("test")


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    for width_in, width in ((3, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(width_in, width, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def _digits(split: str) -> tuple[Tensor, Tensor]:
    items = list(digits.read(None, split, 10, 0))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(item.data))) for item in items])
    labels = torch.tensor([item.label for item in items])
    return torch.tensor(pixels).permute(0, 3, 1, 2).float().div(255).contiguous(), labels
