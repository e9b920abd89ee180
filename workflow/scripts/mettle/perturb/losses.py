"""Objectives of attacks on classifiers, beside the cross-entropy, and the classes that they aim at."""

import torch
from torch import Tensor

from mettle.perturb.draws import Draws
from mettle.perturb.goal import Objective


def dlr(labels: Tensor) -> Objective:
    """Difference of logits ratio, Croce & Hein 2020 (arXiv:2003.01690), eq. 6; needs three classes or more."""

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        true = logits.gather(1, labels[index, None])[:, 0]
        top = logits.topk(3, dim=1).values
        other = torch.where(logits.argmax(1) == labels[index], top[:, 1], top[:, 0])
        return (other - true) / (top[:, 0] - top[:, 2] + 1e-12)

    return objective


def lead(labels: Tensor, targets: Tensor) -> Objective:
    """The logit of the target class less that of the true one."""
    return lambda logits, index: (logits.gather(1, targets[index, None]) - logits.gather(1, labels[index, None]))[:, 0]


def targeted_dlr(labels: Tensor, targets: Tensor) -> Objective:
    """Its form towards a class, Croce & Hein 2020, eq. 7; needs four classes or more."""
    difference = lead(labels, targets)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        top = logits.topk(4, dim=1).values
        return difference(logits, index) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)

    return objective


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """True logit less the largest other (n,); negative where the model errs."""
    true = logits.gather(1, labels[:, None])[:, 0]
    return true - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


def likeliest(logits: Tensor, labels: Tensor) -> Tensor:
    """The wrong classes of each image by their logit, the largest first: (n, classes - 1)."""
    return logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]


def random_targets(labels: Tensor, classes: int, draws: Draws) -> Tensor:
    """A wrong class of each image, drawn uniformly: (n,)."""
    return (labels + 1 + draws.integers(classes - 1, (), "target")) % classes
