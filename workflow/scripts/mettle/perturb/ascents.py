"""A run of Auto-PGD: where it stands, how it steps, and how it adapts the step to its progress."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from mettle.perturb.norms import norm as ball_of
from mettle.perturb.norms import project, sparse_step

_MOMENTUM = _RHO = 0.75
_SHRINK = 1.5  # of the step in L1 where the change became no sparser, and of the share of coordinates that it steps in
_SPARSER = 0.95  # share of the changed coordinates
_LEAST = 0.1  # step in L1, of the radius


@dataclass
class Ascent:
    """State of a run; all tensors have one entry per image.

    Attributes
    ----------
    index : positions in the batch
    clean, current, previous, best : images
    gradient, best_gradient : of the objective at `current` and `best`
    value, best_value : objective at `current` and at `best`
    size : step size
    """

    index: Tensor
    clean: Tensor
    current: Tensor
    previous: Tensor
    best: Tensor
    gradient: Tensor
    best_gradient: Tensor
    value: Tensor
    best_value: Tensor
    size: Tensor

    def take(self, keep: Tensor) -> Self:
        """The images of a mask."""
        return type(self)(*(getattr(self, field.name)[keep] for field in fields(self)))

    def observe(self, value: Tensor, gradient: Tensor) -> None:
        """Update the state with objective and gradient of the current images."""
        self.value, self.gradient = value, gradient
        better = value > self.best_value
        self.best[better] = self.current[better]
        self.best_gradient[better] = gradient[better]
        self.best_value = torch.where(better, value, self.best_value)

    def back(self, rows: Tensor) -> None:
        """Return to the best image in these rows, a mask."""
        wide = rows.view(-1, 1, 1, 1)
        self.current = torch.where(wide, self.best, self.current)
        self.gradient = torch.where(wide, self.best_gradient, self.gradient)
        self.value = torch.where(rows, self.best_value, self.value)


@dataclass
class State(Ascent):
    """In L2 and Linf: steps with momentum, halved where progress stops (algorithm 1).

    Attributes
    ----------
    best_before : objective at the best image of the last checkpoint
    rises : steps since then that raised the objective
    halved : whether it halved the step size
    """

    best_before: Tensor
    rises: Tensor
    halved: Tensor

    @staticmethod
    def due(steps: int) -> Collection[int]:
        """Steps before which `check` is due."""
        return checkpoints(steps)

    def move(self, norm: str, eps: float, first: bool) -> None:
        """A step along the gradient, with momentum except for the first."""
        size = self.size.view(-1, 1, 1, 1)
        stepped = project(self.current + size * ball_of(norm).step(self.gradient), self.clean, norm, eps)
        if not first:
            mixed = self.current + _MOMENTUM * (stepped - self.current)
            stepped = project(mixed + (1 - _MOMENTUM) * (self.current - self.previous), self.clean, norm, eps)
        self.previous, self.current = self.current, stepped

    def observe(self, value: Tensor, gradient: Tensor) -> None:
        """Update the state with objective and gradient of the current images."""
        self.rises += value > self.value
        super().observe(value, gradient)

    def check(self, interval: int) -> None:
        """Halve the step of images that rose too rarely or not at all, and return to their best (conditions 1, 2)."""
        stuck = ~self.halved & (self.best_value == self.best_before)
        self.halved = (self.rises < _RHO * interval) | stuck
        self.size = torch.where(self.halved, self.size / 2, self.size)
        self.back(self.halved)
        self.best_before, self.rises = self.best_value, torch.zeros_like(self.rises)


@dataclass
class Sparse(Ascent):
    """In L1: steps in a few coordinates, the fewer the sparser the best change is (Croce & Hein 2021, algorithm 1).

    Attributes
    ----------
    reach : radius of the ball, the largest step
    support : coordinates that the best image of the last checkpoint changed
    share : fraction of the coordinates that the next step changes
    """

    reach: Tensor
    support: Tensor
    share: Tensor

    @staticmethod
    def due(steps: int) -> Collection[int]:
        """Steps before which `check` is due: every 25th part of all."""
        every = max(steps // 25, 1)
        return range(every, steps, every)

    def move(self, norm: str, eps: float, first: bool) -> None:
        """A step along the signs of the gradient's largest coordinates, without momentum."""
        step = self.size.view(-1, 1, 1, 1) * sparse_step(self.gradient, self.share)
        self.previous, self.current = self.current, project(self.current + step, self.clean, norm, eps)

    def check(self, interval: int) -> None:
        """Where the best change became sparser, step as far as at first, from it; elsewhere shorten the step."""
        support = _support(self.best, self.clean)
        sparser = support < _SPARSER * self.support
        shorter = torch.maximum(self.size / _SHRINK, _LEAST * self.reach)
        self.size = torch.where(sparser, self.reach, shorter)
        self.support, self.share = support, support / self.clean[0].numel() / _SHRINK
        self.back(sparser)


def begin(
    index: Tensor, clean: Tensor, start: Tensor, value: Tensor, gradient: Tensor, norm: str, eps: float
) -> State | Sparse:
    """A run from `start`, where objective and gradient are these."""
    shared = {"index": index, "clean": clean, "current": start, "previous": start, "best": start.clone()}
    shared |= {"gradient": gradient, "best_gradient": gradient.clone(), "value": value, "best_value": value}
    if norm == "l1":
        support, reach = _support(start, clean), torch.full_like(value, eps)
        share = support / clean[0].numel() / _SHRINK
        return Sparse(**shared, size=reach, reach=reach, support=support, share=share)
    no = torch.zeros_like(index)
    return State(**shared, size=torch.full_like(value, 2 * eps), best_before=value, rises=no, halved=no.bool())


def checkpoints(steps: int) -> list[int]:
    """Steps after which step sizes are reconsidered: 0.22, 0.41, 0.57, 0.70, ... of all, rounded up (section 3.2)."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    return sorted({-(-percent * steps // 100) for percent in percents[1:-1]})


def _support(images: Tensor, clean: Tensor) -> Tensor:
    return (images != clean).flatten(1).sum(1).to(images.dtype)
