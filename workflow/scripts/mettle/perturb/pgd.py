"""Projected gradient descent, Madry et al. 2018 (arXiv:1706.06083); in L1 with sparse steps."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal, Objective
from mettle.perturb.norms import Norm, confine, project
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Oracle, ascent
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst


def pgd(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str | Norm,
    eps: float,
    draws: Draws,
    policy: Policy,
    steps: int,
    step_size: float,
    random_start: bool = True,
    restarts: int = 1,
    early_stop: bool = False,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Worst image found in the ball around each image.

    Parameters
    ----------
    model : maps images to logits; frozen and in evaluation mode meanwhile
    images : (n, 3, h, w) in [0, 1]
    goal : what the attack raises, and which answers are a success
    norm : `l1`, `l2` or `linf`, or a norm itself
    eps : radius, in pixel range
    draws : random numbers of these images
    policy : device and precision of the passes
    steps : gradient steps
    step_size : length of a step, in pixel range; see `steps.step_size`
    random_start : start uniformly in the ball, else at the image
    restarts : independent starts, of which the worst counts
    early_stop : images leave the batch once fooled; exact for accuracy, while the loss is that of the first success
    watch : counts the steps

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range: the fooling iterate if there is one, and among equals the one
        with the largest objective. The image itself counts as an iterate, so an attack never helps the model
    queries : (n,) forward passes spent on each image
    """
    oracle, objective = Oracle(model, goal, len(images), policy, draws.ids), goal.objective
    worst = Worst(images)
    with frozen(model):
        if random_start or early_stop or steps == 0:
            worst.look(oracle, worst.remaining(early_stop=False), images, objective)
        for restart in range(restarts):
            active = worst.remaining(early_stop)
            if not len(active):
                break
            current = images[active]
            if random_start:
                current = uniform_start(current, norm, eps, draws.take(active), restart)
            for _ in watch.progress(range(steps), f"pgd, start {restart + 1} of {restarts}"):
                logits, value, gradient = oracle.gradient(current, active, objective)
                worst.consider(active, current, oracle.fooled(current, logits, active), value)
                if early_stop and (left := worst.fooled[active]).any():
                    keep = ~left
                    active, current, gradient = active[keep], current[keep], gradient[keep]
                    if not len(active):
                        break
                current = _step(current, images[active], gradient, norm, eps, step_size)
            if len(active):
                worst.look(oracle, active, current, objective)
    return confine(worst.images, images, norm, eps), oracle.queries


def pgd_last(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float,
    draws: Draws | None = None,
    start: Tensor | None = None,
    policy: Policy,
    watch: Watch = NOBODY,
) -> Tensor:
    """Last iterate of one run of PGD, one pass cheaper than `pgd`: for training, not for evaluation.

    It begins at `start` (n, 3, h, w), at a random point where `draws` are given instead, else at the image. The other
    parameters are those of `pgd`.
    """
    if start is None:
        start = _begin(images, norm, eps, draws)
    run = watch.progress(range(steps), f"pgd-{steps}")
    with frozen(model):
        last, _ = _run(model, images, start, goal.objective, policy, norm, eps, step_size, run)
    return last


def pgd_trace(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float,
    draws: Draws | None = None,
    policy: Policy,
    watch: Watch = NOBODY,
) -> Tensor:
    """Objective of every iterate of one run of PGD, float32 (n, steps + 1), from the start to the last.

    The parameters are those of `pgd_last`. With the same `step_size`, k steps are the start of any longer run: its
    first k + 1 columns.
    """
    every = torch.arange(len(images), device=images.device)
    with frozen(model):
        start = _begin(images, norm, eps, draws)
        run = watch.progress(range(steps), f"pgd-{steps}")
        last, values = _run(model, images, start, goal.objective, policy, norm, eps, step_size, run)
        with torch.no_grad(), policy.autocast():
            logits = model(last).float()
    return torch.stack([*values, goal.objective(logits, every)], dim=1)


def uniform_start(images: Tensor, norm: str | Norm, eps: float, draws: Draws, restart: int = 0) -> Tensor:
    """Points uniform in the balls around the images, clipped to the pixel range."""
    shape = images.shape[1:]
    points = ball_of(norm).uniform(draws.normal(shape, "start", restart), draws.uniform((), "radius", restart))
    return confine(images + eps * points, images, norm, eps)


def _begin(images: Tensor, norm: str, eps: float, draws: Draws | None) -> Tensor:
    return images if draws is None else uniform_start(images, norm, eps, draws)


def _run(
    model: nn.Module,
    images: Tensor,
    current: Tensor,
    objective: Objective,
    policy: Policy,
    norm: str,
    eps: float,
    step_size: float,
    run: Iterable[int],
) -> tuple[Tensor, list[Tensor]]:
    """Last iterate of a run from `current`, and the objective of all iterates before it."""
    every = torch.arange(len(images), device=images.device)
    values = []
    for _ in run:
        _, value, gradient = ascent(model, current, every, objective, policy)
        current = _step(current, images, gradient, norm, eps, step_size)
        values.append(value)
    return current, values


def _step(current: Tensor, images: Tensor, gradient: Tensor, norm: str | Norm, eps: float, size: float) -> Tensor:
    return project(current + size * ball_of(norm).step(gradient), images, norm, eps)
