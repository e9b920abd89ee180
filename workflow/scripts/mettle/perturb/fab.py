"""Fast adaptive boundary attack towards the likeliest classes, Croce and Hein 2020 (arXiv:1907.02044), in L2 and Linf."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.linalg import vecdot, vector_norm

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.norms import confine
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Objective, Oracle
from mettle.perturb.pgd import uniform_start
from mettle.perturb.projections import onto_hyperplane
from mettle.perturb.worst import Worst

_ORDERS = {"l2": 2, "linf": torch.inf}


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
    labels: Tensor,
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
) -> tuple[Tensor, Tensor]:
    """Images pushed across the nearest border to each of the likeliest other classes, where it lies within eps.

    Parameters
    ----------
    model : maps images to logits; frozen and in evaluation mode meanwhile
    images : (n, 3, h, w) in [0, 1]
    labels : (n,) true classes
    norm : `l2` or `linf`
    eps : radius within which an image has to be fooled, in pixel range
    draws : random numbers of these images, for the starts of all restarts but the first
    policy : device and precision of the passes
    steps : iterations per class and restart
    restarts : runs per class; the first starts at the image, the others uniformly in the ball of half the radius
    targets : classes tried, one after another by their clean logit; at most all but the true one
    alpha_max : largest weight of the point next to the image against that next to the iterate
    eta : overshoot across the linearised border
    beta : share of the way from the image that is kept after a success, to come closer in the next steps

    Returns
    -------
    images : (n, 3, h, w), the first iterate that fools the model inside ball and pixel range; the image itself where
        none does, or where the model was wrong already
    queries : (n,) forward passes spent on each image

    Notes
    -----
    Algorithm 1 of the paper with the targets of AutoAttack (Croce and Hein 2020, arXiv:2003.01690). We differ in what
    only an evaluation at one eps can: an image leaves once fooled within eps, and the search at the end, for the border
    on the way to the nearest adversarial point, is one query of that point brought into the ball.
    """
    oracle, worst = Oracle(model, labels, policy, ids=draws.ids), Worst(images)
    iteration = _Iteration(norm, eps, alpha_max, eta, beta)
    with frozen(model):
        every = worst.standing()
        logits = oracle.logits(images, every)
        worst.consider(every, images, oracle.fooled(images, logits, every), torch.zeros_like(logits[:, 0]))
        ranked = logits.scatter(1, labels[:, None], torch.inf).argsort(1, descending=True)
        for rank in range(1, min(targets + 1, logits.shape[1])):
            for restart in range(restarts):
                index = worst.standing()
                start = images[index]
                if restart:
                    start = uniform_start(start, norm, eps / 2, draws.take(index), rank * restarts + restart)
                _Run(oracle, worst, images[index], index, start, _lead(labels, ranked[:, rank]), iteration).climb(steps)
    return worst.images, oracle.queries


def _lead(labels: Tensor, targets: Tensor) -> Objective:
    """The logit of the target class less that of the true one."""

    def lead(logits: Tensor, index: Tensor) -> Tensor:
        return (logits.gather(1, targets[index, None]) - logits.gather(1, labels[index, None]))[:, 0]

    return lead


class _Run:
    """One run towards one class per image, for the images that are still to be fooled: all tensors have a row for each.

    Attributes
    ----------
    index : positions in the batch
    origin, point : clean image and iterate, (m, d)
    lead, slope : objective at `point` and its gradient, (m,) and (m, d)
    crossed : whether the last step led to another class
    distance, nearest : distance of the nearest adversarial point so far, infinity without, and the point
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
        self.lead, self.slope = torch.zeros_like(self.point[:, 0]), torch.zeros_like(self.point)
        self.crossed = torch.zeros_like(index, dtype=torch.bool)
        self.distance, self.nearest = torch.full_like(self.lead, torch.inf), self.origin.clone()

    def climb(self, steps: int) -> None:
        """Iterate, then look once more at the nearest adversarial point."""
        if steps and len(self.index):
            self._differentiate(~self.crossed)
        for step in range(1, steps + 1):
            if not len(self.index):
                return
            self._step(last=step == steps)
        self._finish()

    def _step(self, last: bool) -> None:
        """One iteration; the gradient for the next costs a pass only where the point has moved since it was judged."""
        self.point = self._advance()
        # A point that crossed is taken back and judged anew: where one has just crossed so will the next, and a
        # gradient there would be thrown away.
        blind = torch.ones_like(self.crossed) if last else self.crossed
        logits = self._judge(blind)
        self.crossed = logits.argmax(1) != self.oracle.labels[self.index]
        stay = ~self._record(logits)
        blind = (blind | self.crossed)[stay]
        self._keep(stay)
        back = self.origin + self.iteration.beta * (self.point - self.origin)
        self.point = torch.where(self.crossed[:, None], back, self.point)
        if not last:
            self._differentiate(blind)

    def _advance(self) -> Tensor:
        """Eq. 9: between the projections of iterate and image to the linearised border, a little beyond it."""
        how = self.iteration
        from_origin = vecdot(self.slope, self.point - self.origin) - self.lead
        near = onto_hyperplane(self.point, self.slope, -self.lead, how.norm)
        far = onto_hyperplane(self.origin, self.slope, from_origin, how.norm)
        a, b = (vector_norm(move, _ORDERS[how.norm], dim=1).clamp_min(1e-8) for move in (near, far))
        alpha = (a / (a + b)).clamp_max(how.alpha_max)[:, None]
        moved = (1 - alpha) * (self.point + how.eta * near) + alpha * (self.origin + how.eta * far)
        return moved.clamp(0, 1)

    def _judge(self, blind: Tensor) -> Tensor:
        """Logits of the points; where not `blind`, their gradients too."""
        if blind.all():
            return self.oracle.logits(self._images(self.point), self.index)
        seen = self._differentiate(~blind)
        if not blind.any():
            return seen
        logits = seen.new_empty(len(self.index), seen.shape[1])
        logits[~blind] = seen
        logits[blind] = self.oracle.logits(self._images(self.point[blind]), self.index[blind])
        return logits

    def _differentiate(self, rows: Tensor) -> Tensor | None:
        if not rows.any():
            return None
        found = self.oracle.gradient(self._images(self.point[rows]), self.index[rows], self.objective)
        logits, self.lead[rows], slope = found
        self.slope[rows] = slope.flatten(1)
        return logits

    def _record(self, logits: Tensor) -> Tensor:
        """Note new nearest adversarial points; mask of the images that are fooled within eps."""
        distance = vector_norm(self.point - self.origin, _ORDERS[self.iteration.norm], dim=1)
        nearer = self.crossed & (distance < self.distance)
        self.distance = torch.where(nearer, distance, self.distance)
        self.nearest[nearer] = self.point[nearer]
        return self._try(self.crossed & (distance <= self.iteration.eps), self.point, logits)

    def _finish(self) -> None:
        self._keep(self.distance.isfinite())
        if len(self.index):
            inside = confine(self.nearest, self.origin, self.iteration.norm, self.iteration.eps)
            logits = self.oracle.logits(self._images(inside), self.index)
            self._try(torch.ones_like(self.crossed), inside, logits)

    def _try(self, rows: Tensor, points: Tensor, logits: Tensor) -> Tensor:
        """Hand in the points of these rows that fool the model and lie in the ball, to the last digit; mask of them."""
        if not rows.any():
            return rows
        index, points = self.index[rows], points[rows]
        difference = points.double() - self.origin[rows].double()
        inside = ball_of(self.iteration.norm).distance(difference) <= self.iteration.eps
        images = self._images(points)
        fooled = inside & self.oracle.fooled(images, logits[rows], index)
        self.worst.consider(index[fooled], images[fooled], fooled[fooled], torch.zeros_like(self.distance[rows][fooled]))
        return rows.masked_scatter(rows, fooled)

    def _keep(self, rows: Tensor) -> None:
        if not rows.all():
            for name in ("index", "origin", "point", "lead", "slope", "crossed", "distance", "nearest"):
                setattr(self, name, getattr(self, name)[rows])

    def _images(self, points: Tensor) -> Tensor:
        return points.view(-1, *self.shape)
