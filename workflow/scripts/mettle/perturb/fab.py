"""Fast adaptive boundary attack towards the likeliest classes, Croce & Hein 2020 (arXiv:1907.02044)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.linalg import vecdot

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal, Objective
from mettle.perturb.losses import lead, likeliest
from mettle.perturb.norms import confine
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Oracle
from mettle.perturb.pgd import uniform_start
from mettle.perturb.projections import onto_hyperplane
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst


@dataclass(frozen=True)
class _Iteration:
    """Hyper-parameters of one iteration, see `fab`."""

    norm: str
    eps: float
    alpha_max: float
    eta: float
    beta: float


def fab(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    alpha_max: float = 0.1,
    eta: float = 1.05,
    beta: float = 0.9,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Images pushed across the nearest border to each of the likeliest other classes, where it lies within eps.

    Parameters
    ----------
    model : maps images to logits; frozen and in evaluation mode meanwhile
    images : (n, 3, h, w) in [0, 1]
    goal : of `untargeted`
    norm : `l1`, `l2` or `linf`
    eps : radius within which an image has to be fooled, in pixel range
    draws : random numbers of these images, for the starts of all restarts but the first
    policy : device and precision of the passes
    steps : iterations per class and restart
    restarts : runs per class; the first starts at the image, the others uniformly in the ball of half the radius
    targets : classes tried, one after another by their clean logit; at most all but the true one
    alpha_max : largest weight of the point next to the image against that next to the iterate
    eta : overshoot across the linearised border
    beta : fraction of the way from the image that is kept after a success, to come closer in the next steps
    watch : counts the steps

    Returns
    -------
    images : (n, 3, h, w), the first iterate that fools the model inside ball and pixel range; the image itself where
        none does, or where the model was wrong already
    queries : (n,) forward passes spent on each image

    Notes
    -----
    Algorithm 1 of the paper with the targets of AutoAttack (Croce & Hein 2020, arXiv:2003.01690). We differ in what
    an evaluation at a single eps allows: an image leaves once fooled within eps, and the search at the end, for the
    border on the way to the nearest adversarial point, is one query of that point brought into the ball.
    """
    ball_of(norm)  # raises for an unknown name
    oracle, worst = Oracle(model, goal, len(images), policy, draws.ids), Worst(images)
    iteration = _Iteration(norm, eps, alpha_max, eta, beta)
    with frozen(model):
        logits = worst.look(oracle, worst.remaining(), images, lambda logits, index: torch.zeros_like(logits[:, 0]))
        ranked = likeliest(logits, goal.labels)[:, :targets].unbind(1)
        for (rank, target), restart in product(enumerate(ranked, 1), range(restarts)):
            index = worst.remaining()
            if not len(index):
                break
            start = images[index]
            if restart:
                start = uniform_start(start, norm, eps / 2, draws.take(index), rank * restarts + restart)
            run = _Run(oracle, worst, images[index], index, start, lead(goal.labels, target), iteration)
            run.climb(watch.progress(range(steps), f"fab, target {rank} of {len(ranked)}, start {restart + 1}"))
    return worst.images, oracle.queries


def _length(moves: Tensor, norm: str) -> Tensor:
    """The path is in float32; results are measured in float64."""
    return vecdot(moves, moves).sqrt() if norm == "l2" else ball_of(norm).distance(moves).to(moves.dtype)


class _Run:
    """One run towards one class per image, for the images that are not fooled yet; all tensors have a row for each.

    Attributes
    ----------
    index : positions in the batch
    origin, point : clean image and iterate, (m, d)
    distance, nearest : distance of the nearest adversarial point so far, infinity without one, and the point
    """

    def __init__(
        self,
        oracle: Oracle,
        worst: Worst,
        images: Tensor,
        index: Tensor,
        start: Tensor,
        objective: Objective,
        iteration: _Iteration,
    ) -> None:
        self.oracle, self.worst, self.objective, self.iteration = oracle, worst, objective, iteration
        self.shape = images.shape[1:]
        self.index = index
        self.origin, self.point = images.flatten(1), start.flatten(1)
        self.distance = torch.full_like(self.point[:, 0], torch.inf)
        self.nearest = self.origin.clone()

    def climb(self, steps: Iterable[int]) -> None:
        """Iterate, then look once more at the nearest adversarial point."""
        for _ in steps:
            if not len(self.index):
                return
            self._step()
        self._finish()

    def _step(self) -> None:
        """One iteration.

        Four in five steps cross the border, and then the point is moved back, so that its gradient would be wasted. So
        a pass without gradient judges it, and the next iteration computes it again.
        """
        self.point = self._advance()
        logits = self.oracle.logits(self._images(self.point), self.index)
        crossed = logits.argmax(1) != self.oracle.goal.labels[self.index]
        fooled = self._record(crossed, logits)
        kept = torch.where(crossed, self.iteration.beta, 1.0)
        self.point = torch.lerp(self.origin, self.point, kept[:, None])
        self._keep(~fooled)

    def _advance(self) -> Tensor:
        """The biased step: between the projections of iterate and image onto the linearised border, and beyond."""
        how = self.iteration
        _, lead, slope = self.oracle.gradient(self._images(self.point), self.index, self.objective)
        slope = slope.flatten(1)
        near = onto_hyperplane(self.point, slope, -lead, how.norm)
        far = onto_hyperplane(self.origin, slope, vecdot(slope, self.point - self.origin) - lead, how.norm)
        a, b = (_length(move, how.norm).clamp_min(1e-8) for move in (near, far))
        alpha = (a / (a + b)).clamp_max(how.alpha_max)[:, None]
        ends = torch.add(self.point, near, alpha=how.eta), torch.add(self.origin, far, alpha=how.eta)
        return torch.lerp(*ends, alpha).clamp_(0, 1)

    def _record(self, crossed: Tensor, logits: Tensor) -> Tensor:
        """Record new nearest adversarial points; returns the mask of images that are fooled within eps."""
        distance = _length(self.point - self.origin, self.iteration.norm)
        nearer = crossed & (distance < self.distance)
        self.distance = torch.where(nearer, distance, self.distance)
        self.nearest[nearer] = self.point[nearer]
        return self._try(crossed & (distance <= self.iteration.eps), self.point, logits)

    def _finish(self) -> None:
        """The point where the ball ends on the way to the nearest adversarial point."""
        self._keep(self.distance.isfinite())
        if len(self.index):
            inside = confine(self.nearest, self.origin, self.iteration.norm, self.iteration.eps)
            logits = self.oracle.logits(self._images(inside), self.index)
            self._try(torch.ones_like(self.index, dtype=torch.bool), inside, logits)

    def _try(self, rows: Tensor, points: Tensor, logits: Tensor) -> Tensor:
        """Submit the points of these rows that fool the model and lie in the ball exactly; returns their mask."""
        if not rows.any():
            return rows
        index, points = self.index[rows], points[rows]
        difference = points.double() - self.origin[rows].double()
        inside = ball_of(self.iteration.norm).distance(difference) <= self.iteration.eps
        images = self._images(points)
        fooled = inside & self.oracle.fooled(images, logits[rows], index)
        self.worst.consider(
            index[fooled], images[fooled], fooled[fooled], torch.zeros_like(self.distance[rows][fooled])
        )
        return rows.masked_scatter(rows, fooled)

    def _keep(self, rows: Tensor) -> None:
        if not rows.all():
            for name in ("index", "origin", "point", "distance", "nearest"):
                setattr(self, name, getattr(self, name)[rows])

    def _images(self, points: Tensor) -> Tensor:
        return points.view(-1, *self.shape)
