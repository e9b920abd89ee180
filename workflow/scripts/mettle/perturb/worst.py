"""The worst image that an attack has found so far."""

import torch
from torch import Tensor

from mettle.perturb.goal import Objective
from mettle.perturb.oracle import Oracle


class Worst:
    """The worst iterate of every image of a batch: fooling before not fooling, then by objective.

    Parameters
    ----------
    images : (n, 3, h, w) clean images, the first candidates

    Attributes
    ----------
    images : (n, 3, h, w) worst so far
    fooled : (n,) whether they fool the model
    value : (n,) objective there
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images.clone()
        self.fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.value = torch.full((len(images),), -torch.inf, device=images.device)

    def consider(self, index: Tensor, iterate: Tensor, fooled: Tensor, value: Tensor) -> None:
        """Keep the iterates at the positions `index` that are worse for the model than those so far."""
        known = self.fooled[index]
        better = (fooled & ~known) | ((fooled == known) & (value > self.value[index]))
        index = index[better]
        self.images[index] = iterate[better]
        self.fooled[index] = fooled[better]
        self.value[index] = value[better]

    def look(self, oracle: Oracle, index: Tensor, images: Tensor, objective: Objective) -> Tensor:
        """Consider images for the positions `index`, after one pass without gradient; returns its logits."""
        logits = oracle.logits(images, index)
        self.consider(index, images, oracle.fooled(images, logits, index), objective(logits, index))
        return logits

    def remaining(self, early_stop: bool = True) -> Tensor:
        """Positions that remain to be attacked: those not fooled, or all without early stop."""
        every = torch.arange(len(self.images), device=self.images.device)
        return every[~self.fooled] if early_stop else every
