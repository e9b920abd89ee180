"""Projected gradient descent, Madry et al. 2018 (arXiv:1706.06083), in L2 and Linf, on the cross-entropy."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.norms import confine
from mettle.perturb.norms import norm as ball_of

# start(restart) gives points of the unit ball, shaped like the images.
Start = Callable[[int], Tensor]


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None = None,
    start: Start | None = None,
    restarts: int = 1,
    targets: Tensor | None = None,
    early_stop: bool = False,
    policy: Policy,
) -> tuple[Tensor, Tensor]:
    """Worst image found in the ball around each image.

    Parameters
    ----------
    model : maps images to logits; frozen and in evaluation mode meanwhile
    images : (n, 3, h, w) in [0, 1]
    labels : (n,) true classes
    norm : `l2` or `linf`
    eps : radius, in pixel range
    steps : gradient steps
    step_size : length of a step; 2.5 eps / steps if not given (Madry et al. 2018)
    start : random starts; without it the first iterate is the image
    restarts : independent starts, of which the worst counts
    targets : (n,) classes to move towards; without it, away from `labels`
    early_stop : images leave the batch once fooled; exact for accuracy, while the loss is that of the first success
    policy : device and precision of the passes

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range: the fooling iterate if there is one, and among equals the one
        with the largest objective. The image itself counts as an iterate, so an attack never helps the model
    queries : (n,) forward passes spent on each image
    """
    worst = _Worst(images, labels, targets)
    with frozen(model):
        if start is not None or early_stop or steps == 0:
            with torch.no_grad(), policy.autocast():
                worst.consider(torch.arange(len(images), device=images.device), images, model(images).float())
        for restart in range(restarts):
            active = worst.standing(early_stop)
            if not len(active):
                break
            current = images[active]
            if start is not None:
                current = confine(current + eps * start(restart)[active], current, norm, eps)
            _climb(model, images, current, active, worst, norm, eps, steps, step_size, early_stop, policy)
    return confine(worst.images, images, norm, eps), worst.queries


def _climb(
    model: nn.Module,
    images: Tensor,
    current: Tensor,
    active: Tensor,
    worst: "_Worst",
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None,
    early_stop: bool,
    policy: Policy,
) -> None:
    """One run from `current`, the iterates of the images `active`; what it finds goes into `worst`."""
    for step in range(steps + 1):
        current.requires_grad_(step < steps)
        with policy.autocast():
            logits = model(current).float()
        worst.consider(active, current.detach(), logits.detach())
        if step == steps:
            return
        moved = _step(current, images[active], worst.objective(logits, active), norm, eps, steps, step_size)
        keep = ~worst.fooled[active] if early_stop else slice(None)
        active, current = active[keep], moved[keep]
        if not len(active):
            return


def pgd_last(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None = None,
    start: Start | None = None,
    policy: Policy,
) -> Tensor:
    """Last iterate of one run of PGD, one pass cheaper than `pgd`: for training, not for evaluation."""
    current = images if start is None else confine(images + eps * start(0), images, norm, eps)
    with frozen(model):
        for _ in range(steps):
            current = current.detach().requires_grad_(True)
            with policy.autocast():
                logits = model(current).float()
            losses = F.cross_entropy(logits, labels, reduction="none")
            current = _step(current, images, losses, norm, eps, steps, step_size)
    return current


def _step(
    current: Tensor,
    images: Tensor,
    objective: Tensor,
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None,
) -> Tensor:
    ball = ball_of(norm)
    size = 2.5 * eps / steps if step_size is None else step_size
    (gradient,) = torch.autograd.grad(objective.sum(), current)
    moved = current.detach() + size * ball.step(gradient)
    return (images + ball.project(moved - images, eps)).clamp(0, 1)


class _Worst:
    """The worst iterate so far of every image: fooling before not fooling, then by objective."""

    def __init__(self, images: Tensor, labels: Tensor, targets: Tensor | None) -> None:
        n, device = len(images), images.device
        self.labels, self.targets = labels, targets
        self.images = images.clone()
        self.fooled = torch.zeros(n, dtype=torch.bool, device=device)
        self.best = torch.full((n,), -torch.inf, device=device)
        self.queries = torch.zeros(n, dtype=torch.int64, device=device)

    def objective(self, logits: Tensor, active: Tensor) -> Tensor:
        """What the attack raises, one value per image."""
        if self.targets is None:
            return F.cross_entropy(logits, self.labels[active], reduction="none")
        return -F.cross_entropy(logits, self.targets[active], reduction="none")

    def consider(self, active: Tensor, iterate: Tensor, logits: Tensor) -> None:
        """Take over the iterates that are worse for the model than what is known."""
        prediction = logits.argmax(1)
        goal = self.labels[active] if self.targets is None else self.targets[active]
        fooled = (prediction != goal) if self.targets is None else (prediction == goal)
        value = self.objective(logits, active)
        same = fooled == self.fooled[active]
        better = (fooled & ~self.fooled[active]) | (same & (value > self.best[active]))
        self.queries[active] += 1
        index = active[better]
        self.images[index] = iterate[better]
        self.best[index] = value[better]
        self.fooled[index] = fooled[better]

    def standing(self, early_stop: bool) -> Tensor:
        """Indices of the images that the next restart attacks."""
        every = torch.arange(len(self.images), device=self.images.device)
        return every[~self.fooled] if early_stop else every
