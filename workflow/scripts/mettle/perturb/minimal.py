"""Attacks that look for the smallest change that fools a model: DDN and FMN."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal, Objective
from mettle.perturb.losses import margin
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.norms import project
from mettle.perturb.oracle import Oracle
from mettle.perturb.watch import NOBODY, Watch


@dataclass
class _Search:
    """Iterates of a search, for the images that the model is right about; all tensors have a row for each.

    Attributes
    ----------
    index : positions in the batch
    clean, points : images and iterates
    radii : distance at which each looks next
    most : largest of them
    gradient : of the objective at the iterates
    value : the objective there
    fools : whether they fool
    best : distance of the nearest so far that fools, infinity without one
    """

    index: Tensor
    clean: Tensor
    points: Tensor
    radii: Tensor
    most: Tensor
    gradient: Tensor
    value: Tensor
    fools: Tensor
    best: Tensor


def ddn(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    steps: int = 100,
    gamma: float = 0.05,
    first: float = 1.0,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Nearest images that fool, by decoupled direction and norm, Rony et al. 2019 (arXiv:1811.09600), algorithm 1.

    Parameters
    ----------
    model, images, draws, policy, watch : as for `pgd`
    goal : of `untargeted`
    norm : `l2`
    eps : largest distance searched, in pixel range
    steps : gradient steps
    gamma : share by which the radius grows after an iterate that does not fool, and shrinks after one that does
    first : radius of the first step

    Returns
    -------
    images : (n, 3, h, w) in [0, 1]: of the iterates within eps that fool, the nearest; the image itself where none
        does, or where the model was wrong already
    queries : (n,) forward passes spent on each image

    Notes
    -----
    We differ from the paper in that iterates are not rounded to 8 bits, and that the last one counts, too.
    """
    if norm != "l2":
        raise ValueError(f"ddn is an attack in l2, not in '{norm}': take fmn")
    ball = ball_of(norm)

    def move(at: _Search, step: int) -> None:
        direction = ball.step(at.gradient)
        flat = ball.dual(at.gradient) < 1e-12
        if flat.any():
            noise = draws.take(at.index[flat]).normal(images.shape[1:], "ddn", step)
            direction[flat] = ball.step(noise)
        size = 0.01 + 0.99 * _cosine(step, steps)
        at.radii = torch.minimum(at.radii * torch.where(at.fools, 1 - gamma, 1 + gamma), at.most)
        change = ball.step(at.points - at.clean + size * direction)
        at.points = (at.clean + at.radii.view(-1, 1, 1, 1) * change).clamp(0, 1)

    return _search(model, images, goal, goal.objective, norm, eps, first, draws, policy, steps, move, watch)


def fmn(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    steps: int = 100,
    gamma: float = 0.05,
    max_step: float = 1.0,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Nearest images that fool, by the fast minimum-norm attack, Pintor et al. 2021 (arXiv:2102.12827), algorithm 1.

    Parameters
    ----------
    model, images, draws, policy, watch : as for `pgd`
    goal : of `untargeted`
    norm : `l1`, `l2` or `linf`, in which the change is smallest
    eps : largest distance searched, in pixel range
    steps : gradient steps
    gamma : share by which the radius shrinks or grows at first; it falls to a fiftieth along half a cosine
    max_step : length in L2 of the first step; it falls to a hundredth along half a cosine

    Returns
    -------
    images, queries : as of `ddn`

    Notes
    -----
    Until an image has been fooled, its radius is its distance to the linearised border of its class; from then on it
    shrinks after iterates that fool and grows after others. We differ from the paper in three points: until then, too,
    the radius grows by its share at least, without which iterates whose change the pixel range cuts come close to the
    border and never cross; the last iterate counts, too; and in L1 ball and pixel range are projected onto together.
    """
    ball = ball_of(norm)

    def move(at: _Search, step: int) -> None:
        cosine = _cosine(step, steps)
        share, size = gamma * (0.02 + 0.98 * cosine), max_step * (0.01 + 0.99 * cosine)
        border = at.value.abs() / ball.dual(at.gradient).clamp_min(1e-12)
        outwards = ball.distance(at.points - at.clean).to(border.dtype) + border
        grown = at.radii * (1 + share)
        outwards = torch.where(at.best.isfinite(), grown, torch.maximum(outwards, grown))
        inwards = torch.minimum(at.radii * (1 - share), at.best.to(border.dtype))
        at.radii = torch.minimum(torch.where(at.fools, inwards, outwards), at.most)
        at.points = project(at.points + size * ball_of("l2").step(at.gradient), at.clean, norm, at.radii)

    def lead(logits: Tensor, index: Tensor) -> Tensor:
        return -margin(logits, goal.labels[index])

    return _search(model, images, goal, lead, norm, eps, 0.0, draws, policy, steps, move, watch)


def _search(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    objective: Objective,
    norm: str,
    eps: float,
    first: float,
    draws: Draws,
    policy: Policy,
    steps: int,
    move: Callable[[_Search, int], None],
    watch: Watch,
) -> tuple[Tensor, Tensor]:
    """The nearest of all iterates within eps that fool, and the passes spent on each image."""
    oracle, nearest = Oracle(model, goal, len(images), policy, draws.ids), images.clone()
    with frozen(model):
        every = torch.arange(len(images), device=images.device)
        index = every[~oracle.fooled(images, oracle.logits(images, every), every)]
        at = _begin(index, images[index], norm, eps, first)
        for step in watch.progress(range(steps if len(index) else 0), f"smallest change in {norm}"):
            logits, at.value, at.gradient = oracle.gradient(at.points, index, objective)
            _record(at, oracle.fooled(at.points, logits, index), norm, eps, nearest)
            move(at, step)
        if steps and len(index):
            _record(at, oracle.fooled(at.points, oracle.logits(at.points, index), index), norm, eps, nearest)
    return nearest, oracle.queries


def _begin(index: Tensor, clean: Tensor, norm: str, eps: float, first: float) -> _Search:
    most = ball_of(norm).distance(torch.maximum(clean, 1 - clean)).clamp_max(eps)
    radii, value = most.clamp_max(first).to(clean.dtype), torch.zeros_like(index, dtype=clean.dtype)
    return _Search(
        index=index,
        clean=clean,
        points=clean,
        radii=radii,
        most=most.to(clean.dtype),
        gradient=torch.zeros_like(clean),
        value=value,
        fools=torch.zeros_like(index, dtype=torch.bool),
        best=torch.full_like(most, torch.inf),
    )


def _record(at: _Search, fools: Tensor, norm: str, eps: float, nearest: Tensor) -> None:
    """Note which iterates fool, and put those that are nearer than any before, and within eps, into `nearest`."""
    distance = ball_of(norm).distance(at.points.double() - at.clean.double())
    better = fools & (distance <= eps) & (distance < at.best)
    at.best[better], at.fools = distance[better], fools
    nearest[at.index[better]] = at.points[better]


def _cosine(step: int, steps: int) -> float:
    """From 1 at the first step to 0 after the last."""
    return (1 + math.cos(math.pi * step / steps)) / 2
