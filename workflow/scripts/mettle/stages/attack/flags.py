"""Checks on the clean images for what makes a model look more robust than it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle import models, tables
from mettle.evaluation import Batch, Opened
from mettle.models import Policy
from mettle.perturb import named
from mettle.perturb.oracle import Oracle

# What to do when a flag is set for every image.
ADVICE = {
    "probabilities": "outputs look like probabilities, not logits: gradients of the cross-entropy are wrong; return "
    "logits",
    "randomised": "outputs differ between passes: success is by chance; average over passes or fix the seed",
    "gradient_zero": "input gradients are zero: attacks along the gradient see nothing; trust square only",
}


def look(opened: Opened, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of the exact model for clean images in fp32, and the flags of `ADVICE`, each a boolean tensor (n,).

    Raises
    ------
    ValueError
        If images lie outside [0, 1], targets do not fit the model, or outputs or gradients are not finite.
    """
    images, targets, ids = batch
    if (bad := ~((images >= 0) & (images <= 1)).flatten(1).all(1)).any():
        verb = "hold" if bad.sum() > 1 else "holds"
        where = named(ids, bad.nonzero()[:, 0].tolist())
        raise ValueError(f"{where} {verb} values outside [0, 1], the range of pixels here (not [0, 255])")
    exact = models.exact(opened.model)
    index = torch.arange(len(images), device=images.device)
    with models.frozen(opened.model), torch.no_grad():
        again = exact(images)
        opened.task.check(again, targets, ids)
        goal = opened.task.goal(targets)
        oracle = Oracle(exact, goal, len(images), Policy(images.device), ids)
        outputs, _, gradient = oracle.gradient(images, index, goal.objective)
    size = outputs.abs().flatten(1).amax(1)
    return outputs, {
        "gradient_zero": (gradient == 0).flatten(1).all(1),
        "randomised": (outputs - again).abs().flatten(1).amax(1) > 1e-4 * size,
        "probabilities": _probabilities(outputs) if opened.task.logits else torch.zeros_like(size, dtype=torch.bool),
    }


def _probabilities(outputs: Tensor) -> Tensor:
    """Mask (n,) of the outputs (n, classes, ...) that are nonnegative and sum to 1 over the classes."""
    whole = (outputs.sum(1) - 1).abs() < 1e-4
    return (outputs >= 0).flatten(1).all(1) & whole.reshape(len(outputs), -1).all(1)


def note(columns: dict[str, Any]) -> str | None:
    """What to do about the flags that are set for all images; None if there are none."""
    return "; ".join(text for key, text in ADVICE.items() if np.all(columns[key])) or None


def doubts(shares: Mapping[str, float]) -> str | None:
    """The flags in words, each with its share of images, and what to do about those set for all images."""
    advice = note({key: share >= 1 for key, share in shares.items()})
    return tables.doubts(shares, [advice] if advice else [])
