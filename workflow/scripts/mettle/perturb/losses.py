"""Objectives of attacks: (logits, positions in the batch) to one value per image, which the attack raises."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mettle.perturb.oracle import Objective


def cross_entropy(labels: Tensor, targets: Tensor | None = None) -> Objective:
    """Cross-entropy to the true classes; less that to the targets where there are targets."""
    if targets is not None:
        return lambda logits, index: -F.cross_entropy(logits, targets[index], reduction="none")
    return lambda logits, index: F.cross_entropy(logits, labels[index], reduction="none")


def dlr(labels: Tensor) -> Objective:
    """Difference of logits ratio, Croce & Hein 2020 (arXiv:2003.01690), eq. 6; needs three classes or more."""

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        true = logits.gather(1, labels[index, None])[:, 0]
        top = logits.topk(3, dim=1).values
        other = torch.where(logits.argmax(1) == labels[index], top[:, 1], top[:, 0])
        return (other - true) / (top[:, 0] - top[:, 2] + 1e-12)

    return objective


def targeted_dlr(labels: Tensor, targets: Tensor) -> Objective:
    """Its form towards a class, Croce & Hein 2020, eq. 7; needs four classes or more."""

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        true = logits.gather(1, labels[index, None])[:, 0]
        target = logits.gather(1, targets[index, None])[:, 0]
        top = logits.topk(4, dim=1).values
        return (target - true) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)

    return objective
