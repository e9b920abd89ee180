"""AutoAttack, Croce & Hein 2020 (arXiv:2003.01690): attacks one after the other, each on what remains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mettle.models import Policy, frozen
from mettle.perturb.apgd import apgd
from mettle.perturb.draws import Draws
from mettle.perturb.fab import fab
from mettle.perturb.goal import Goal
from mettle.perturb.oracle import Oracle
from mettle.perturb.square import square
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst


@dataclass(frozen=True)
class Stage:
    """A member of the composition.

    Attributes
    ----------
    run : the attack
    fixed : options that make it this member
    takes : options of `autoattack` that are passed on
    in_l1 : options that L1 adds, and the most that it takes of those passed on
    """

    run: Callable
    fixed: dict[str, str]
    takes: tuple[str, ...]
    in_l1: dict[str, int] = field(default_factory=dict)

    def options(self, norm: str, given: dict[str, int]) -> dict[str, str | int]:
        """Options of the member in a norm, from those of `autoattack`."""
        passed = {key: given[key] for key in self.takes}
        if norm != "l1":
            return self.fixed | passed
        most = {key: min(passed.get(key, value), value) for key, value in self.in_l1.items()}
        return self.fixed | passed | most


# The standard version, in its order; that of L1 is of Croce & Hein 2021 (arXiv:2103.01208), section 5.
STAGES = {
    "apgd_ce": Stage(apgd, {"loss": "ce"}, ("steps",), {"restarts": 5}),
    "apgd_t": Stage(apgd, {"loss": "dlr_targeted"}, ("steps", "targets"), {"targets": 5}),
    "fab_t": Stage(fab, {}, ("steps", "targets")),
    "square": Stage(square, {}, ("queries",)),
}


def autoattack(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    attacks: Sequence[str] = tuple(STAGES),
    steps: int = 100,
    targets: int = 9,
    queries: int = 5000,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Images that fool the model under any of several attacks.

    Parameters
    ----------
    model, images, norm, eps, draws, policy : as for `pgd`
    goal : of `untargeted`
    attacks : keys of `STAGES`, in the order in which they run
    steps : iterations of APGD and FAB
    targets : wrong classes that APGD-T and FAB-T aim at, the most likely first; at most all, and in L1 five of APGD-T
    queries : forward passes of Square
    watch : is told after each member how many images remain, and counts the members' steps

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range: the first that fools, the image itself where it is
        misclassified, else of all attacks' results the one with the largest cross-entropy
    queries : (n,) forward passes spent on each image by all attacks
    """
    oracle = Oracle(model, goal, len(images), policy, draws.ids)
    worst, spent = Worst(images), torch.zeros(len(images), dtype=torch.int64, device=images.device)
    given = {"steps": steps, "targets": targets, "queries": queries}
    with frozen(model):
        worst.look(oracle, worst.remaining(early_stop=False), images, goal.objective)
        for name in attacks:
            index, stage = worst.remaining(), STAGES[name]
            if not len(index):
                break
            found, passes = stage.run(
                model,
                images[index],
                goal.take(index),
                norm=norm,
                eps=eps,
                draws=draws.take(index),
                policy=policy,
                watch=watch,
                **stage.options(norm, given),
            )
            spent[index] += passes
            worst.look(oracle, index, found, goal.objective)
            watch.say(f"after {name} {len(worst.remaining())} of {len(images)} images remain")
    return worst.images, spent + oracle.queries
