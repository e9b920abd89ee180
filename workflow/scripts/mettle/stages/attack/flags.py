"""Doubts about an evaluation, read off the clean images: what makes a model look more robust than it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle import models, tables
from mettle.models import Policy
from mettle.perturb import named, untargeted
from mettle.perturb.oracle import Oracle

# What to do when a whole model is flagged.
ADVICE = {
    "probabilities": "outputs look like probabilities, not logits: gradients of the cross-entropy are wrong; return "
    "logits",
    "randomised": "outputs differ between passes: success is by chance; average over passes or fix the seed",
    "gradient_zero": "input gradients are zero: attacks along the gradient see nothing; trust square only",
}


def look(model: nn.Module, images: Tensor, labels: Tensor, ids: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits (n, classes) of clean images in fp32, and the flags of `ADVICE`, each (n,) of truth values.

    Raises
    ------
    ValueError
        If images lie outside [0, 1], labels are no classes of the model, or logits or gradients are not finite.
    """
    if (bad := ~((images >= 0) & (images <= 1)).flatten(1).all(1)).any():
        verb = "hold" if bad.sum() > 1 else "holds"
        raise ValueError(f"{_where(ids, bad)} {verb} values outside [0, 1], the range of pixels here (not [0, 255])")
    exact = models.exact(model)
    index = torch.arange(len(images), device=images.device)
    with models.frozen(model), torch.no_grad():
        again = exact(images)
        classes = again.shape[1]
        if (bad := (labels < 0) | (labels >= classes)).any():
            raise ValueError(f"{_where(ids, bad)}: the label is none of the model's classes, 0 to {classes - 1}")
        goal = untargeted(labels)
        oracle = Oracle(exact, goal, len(images), Policy(images.device), ids)
        logits, _, gradient = oracle.gradient(images, index, goal.objective)
    rounding = 1e-4 * logits.abs().amax(1)
    return logits, {
        "gradient_zero": (gradient == 0).flatten(1).all(1),
        "randomised": (logits - again).abs().amax(1) > rounding,
        "probabilities": (logits >= 0).all(1) & ((logits.sum(1) - 1).abs() < 1e-4),
    }


def note(columns: dict[str, Any]) -> str | None:
    """What to do about flags that all images bear; None where there are none."""
    return "; ".join(text for key, text in ADVICE.items() if np.all(columns[key])) or None


def doubts(shares: Mapping[str, float]) -> str | None:
    """Flags in words with the share of images that bear them, and what to do about those that all bear."""
    advice = note({key: share >= 1 for key, share in shares.items()})
    return tables.doubts(shares, [advice] if advice else [])


def _where(ids: Sequence[int], bad: Tensor) -> str:
    return named(ids, bad.nonzero()[:, 0].tolist())
