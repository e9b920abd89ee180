"""Options of PRIME, images and random numbers for the tests of this folder."""

import torch

from mettle import schema
from mettle.perturb import Draws


def options(**prime):
    """The block `augment.prime` of a recipe, defaults filled in."""
    shape = {"input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}}
    return schema.check(shape | {"augment": {"prime": prime}}, "recipe", "here")["augment"]["prime"]


def pictures(n=6, height=20, width=28, seed=0):
    """Smooth random images (n, 3, height, width) in [0, 1]."""
    coarse = torch.rand(n, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)


def draws(n=6, seed=0):
    return Draws(seed, range(n))
