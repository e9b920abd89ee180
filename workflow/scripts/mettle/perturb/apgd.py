"""Auto-PGD, Croce & Hein 2020 (arXiv:2003.01690), algorithm 1: momentum, and steps halved when progress stops."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal, Objective
from mettle.perturb.losses import dlr, likeliest, targeted_dlr
from mettle.perturb.norms import confine, project
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Oracle
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst

LOSSES = {"ce": 2, "dlr": 3, "dlr_targeted": 4}  # classes that each needs
_MOMENTUM = _RHO = 0.75


def apgd(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    loss: str = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    early_stop: bool = True,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Worst image found in the ball around each image, without a step size to choose.

    Parameters
    ----------
    model, images, norm, eps, draws, policy, watch : as for `pgd`
    goal : of `untargeted`
    loss : `ce` cross-entropy, `dlr` difference of logits ratio, or `dlr_targeted`, its form towards a class
    steps : gradient steps of a run
    restarts : runs from independent starts, per target
    targets : with `dlr_targeted`, number of the most likely wrong classes that get their own runs, at most all
    early_stop : images leave once fooled, which is exact for accuracy

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range: the first that fools, else the one with the largest loss;
        without early stop the one with the largest loss. With early stop a misclassified image comes back as it is
    queries : (n,) forward passes spent on each image

    Raises
    ------
    ValueError
        If the loss needs more classes than the model has, or is unknown.

    Notes
    -----
    Starts lie on the sphere (Linf: on a face of the cube), as in the authors' code; the paper's text leaves them open.
    """
    oracle = Oracle(model, goal, len(images), policy, draws.ids)
    worst = Worst(images)
    with frozen(model):
        every = worst.remaining(early_stop=False)
        logits = oracle.logits(images, every)
        fooled = oracle.fooled(images, logits, every) & early_stop
        for rank, objective in enumerate(_objectives(loss, goal, logits, targets)):
            if not rank:
                worst.consider(every, images, fooled, objective(logits, every))
            for restart in range(restarts):
                index = worst.remaining(early_stop)
                if steps and len(index):
                    start = _start(images[index], norm, eps, draws.take(index), rank, restart)
                    run = watch.progress(range(steps + 1), f"apgd {loss}, run {rank * restarts + restart + 1}")
                    _climb(oracle, objective, worst, index, images[index], start, norm, eps, steps, early_stop, run)
    return confine(worst.images, images, norm, eps), oracle.queries


def checkpoints(steps: int) -> list[int]:
    """Steps after which step sizes are reconsidered: 0.22, 0.41, 0.57, 0.70, ... of all, rounded up (section 3.2)."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    return sorted({-(-percent * steps // 100) for percent in percents[1:-1]})


@dataclass
class State:
    """State of a run; all tensors have one entry per image.

    Attributes
    ----------
    index : positions in the batch
    clean, current, previous, best : images
    gradient, best_gradient : of the objective at `current` and `best`
    value, best_value, best_before : objective at `current`, at `best`, and at the best of the last checkpoint
    size : step size
    rises : steps since the last checkpoint that raised the objective
    halved : whether the last checkpoint halved the step size
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
    best_before: Tensor
    size: Tensor
    rises: Tensor
    halved: Tensor

    def take(self, keep: Tensor) -> "State":
        """The images of a mask."""
        return State(*(getattr(self, field.name)[keep] for field in fields(self)))

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
        self.value, self.gradient = value, gradient
        better = value > self.best_value
        self.best[better] = self.current[better]
        self.best_gradient[better] = gradient[better]
        self.best_value = torch.where(better, value, self.best_value)

    def check(self, interval: int) -> None:
        """Halve the step of images that rose too rarely or not at all, and return to their best (conditions 1, 2)."""
        stuck = ~self.halved & (self.best_value == self.best_before)
        self.halved = (self.rises < _RHO * interval) | stuck
        self.size = torch.where(self.halved, self.size / 2, self.size)
        self.current = torch.where(self.halved.view(-1, 1, 1, 1), self.best, self.current)
        self.gradient = torch.where(self.halved.view(-1, 1, 1, 1), self.best_gradient, self.gradient)
        self.value = torch.where(self.halved, self.best_value, self.value)
        self.best_before, self.rises = self.best_value, torch.zeros_like(self.rises)


def _climb(
    oracle: Oracle,
    objective: Objective,
    worst: Worst,
    index: Tensor,
    clean: Tensor,
    start: Tensor,
    norm: str,
    eps: float,
    steps: int,
    early_stop: bool,
    run: Iterable[int],
) -> None:
    """One run from `start`, whose results go into `worst`."""
    logits, value, gradient = oracle.gradient(start, index, objective)
    state = _begin(index, clean, start, value, gradient, 2 * eps)
    last, due = 0, checkpoints(steps)
    for step in run:
        if early_stop and (fooled := oracle.fooled(state.current, logits, state.index)).any():
            worst.consider(state.index[fooled], state.current[fooled], fooled[fooled], state.value[fooled])
            state = state.take(~fooled)
        if step == steps or not len(state.index):
            break
        if step in due:
            state.check(step - last)
            last = step
        state.move(norm, eps, first=step == 0)
        logits, value, gradient = oracle.gradient(state.current, state.index, objective)
        state.observe(value, gradient)
    worst.consider(state.index, state.best, torch.zeros_like(state.halved), state.best_value)


def _begin(index: Tensor, clean: Tensor, start: Tensor, value: Tensor, gradient: Tensor, size: float) -> State:
    no = torch.zeros_like(index)
    return State(
        index=index,
        clean=clean,
        current=start,
        previous=start,
        best=start.clone(),
        gradient=gradient,
        best_gradient=gradient.clone(),
        value=value,
        best_value=value,
        best_before=value,
        size=torch.full_like(value, size),
        rises=no,
        halved=no.bool(),
    )


def _start(images: Tensor, norm: str, eps: float, draws: Draws, rank: int, restart: int) -> Tensor:
    """Points on the sphere around the images, in uniformly drawn directions, clipped to the pixel range."""
    if norm == "linf":
        direction = 2 * draws.uniform(images.shape[1:], "apgd", rank, restart) - 1
    else:
        direction = draws.normal(images.shape[1:], "apgd", rank, restart)
    length = ball_of(norm).distance(direction).float().clamp_min(1e-12).view(-1, 1, 1, 1)
    return (images + eps * direction / length).clamp(0, 1)


def _objectives(loss: str, goal: Goal, logits: Tensor, targets: int) -> Iterator[Objective]:
    """What to raise: one objective, or one per target class."""
    classes, labels = logits.shape[1], goal.labels
    if loss not in LOSSES:
        raise ValueError(f"unknown loss '{loss}'; known: {', '.join(LOSSES)}")
    if classes < LOSSES[loss]:
        raise ValueError(
            f"loss {loss} needs {LOSSES[loss]} classes or more, the model has {classes}: take ce, "
            "in autoattack `attacks: [apgd_ce, fab_t, square]`"
        )
    if loss != "dlr_targeted":
        yield goal.objective if loss == "ce" else dlr(labels)
        return
    for target in likeliest(logits, labels)[:, :targets].unbind(1):
        yield targeted_dlr(labels, target)
