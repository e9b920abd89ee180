"""Auto-PGD, Croce & Hein 2020 (arXiv:2003.01690); in L1 that of Croce & Hein 2021 (arXiv:2103.01208)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.ascents import Sparse, State, begin
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal, Objective
from mettle.perturb.losses import dlr, likeliest, targeted_dlr
from mettle.perturb.norms import confine, project
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Oracle
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst

LOSSES = {"ce": 2, "dlr": 3, "dlr_targeted": 4}  # classes that each needs


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

    In L1 a run has three parts (section 4 of the paper of 2021): three tenths of the steps, rounded down, in the ball
    of three times the radius, as many in that of twice the radius, and the rest in the ball itself, each from the image
    with the largest loss of the part before. Only images of the last part count.
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
                    told = f"apgd {loss}, run {rank * restarts + restart + 1}"
                    run = _Run(oracle, objective, worst, norm, early_stop, watch, told)
                    run.climb(index, images[index], eps, steps, draws.take(index), (rank, restart))
    return confine(worst.images, images, norm, eps), oracle.queries


@dataclass(frozen=True)
class _Run:
    """One run, whose results go into `worst`; parameters as of `apgd`.

    Attributes
    ----------
    objective : what it raises
    told : its name for the watch
    """

    oracle: Oracle
    objective: Objective
    worst: Worst
    norm: str
    early_stop: bool
    watch: Watch
    told: str

    def climb(
        self, index: Tensor, clean: Tensor, eps: float, steps: int, draws: Draws, counters: tuple[int, int]
    ) -> None:
        """Run for the images at these positions, from a start that the counters tell from others."""
        *wide, last = _parts(self.norm, eps, steps)
        current = _start(clean, self.norm, wide[0][0] if wide else eps, draws, *counters)
        for radius, part in wide:
            current = project(self._part(index, clean, current, radius, part, False).best, clean, self.norm, eps)
        state = self._part(index, clean, current, *last, True)
        self.worst.consider(state.index, state.best, torch.zeros_like(state.index, dtype=torch.bool), state.best_value)

    def _part(
        self, index: Tensor, clean: Tensor, start: Tensor, eps: float, steps: int, counts: bool
    ) -> State | Sparse:
        """The end of some steps from `start`; where it counts, what fools goes into `worst` and may leave."""
        logits, value, gradient = self.oracle.gradient(start, index, self.objective)
        state = begin(index, clean, start, value, gradient, self.norm, eps)
        last, due = 0, state.due(steps)
        for step in self.watch.progress(range(steps + 1), self.told):
            if counts and self.early_stop:
                state = self._leave(state, logits)
            if step == steps or not len(state.index):
                break
            if step in due:
                state.check(step - last)
                last = step
            state.move(self.norm, eps, first=step == 0)
            logits, value, gradient = self.oracle.gradient(state.current, state.index, self.objective)
            state.observe(value, gradient)
        return state

    def _leave(self, state: State | Sparse, logits: Tensor) -> State | Sparse:
        """The state without the images that fool, which go into `worst`."""
        fooled = self.oracle.fooled(state.current, logits, state.index)
        if not fooled.any():
            return state
        self.worst.consider(state.index[fooled], state.current[fooled], fooled[fooled], state.value[fooled])
        return state.take(~fooled)


def _parts(norm: str, eps: float, steps: int) -> list[tuple[float, int]]:
    """Radii and steps of the parts of a run, see `apgd`."""
    wide = 3 * steps // 10 if norm == "l1" else 0
    return [(3 * eps, wide), (2 * eps, wide)] * bool(wide) + [(eps, steps - 2 * wide)]


def _start(images: Tensor, norm: str, eps: float, draws: Draws, rank: int, restart: int) -> Tensor:
    """Points on the sphere around the images, in uniformly drawn directions, clipped to the pixel range.

    In L1 the nearest points of ball and pixel range to normal noise.
    """
    if norm == "linf":
        direction = 2 * draws.uniform(images.shape[1:], "apgd", rank, restart) - 1
    else:
        direction = draws.normal(images.shape[1:], "apgd", rank, restart)
    if norm == "l1":
        return project(images + direction, images, norm, eps)
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
            "in autoattack in L2 and Linf `attacks: [apgd_ce, fab_t, square]`"
        )
    if loss != "dlr_targeted":
        yield goal.objective if loss == "ce" else dlr(labels)
        return
    for target in likeliest(logits, labels)[:, :targets].unbind(1):
        yield targeted_dlr(labels, target)
