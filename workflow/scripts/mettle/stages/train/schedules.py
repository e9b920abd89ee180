"""Schedules over training: radius and step of the attack, Debenedetti et al. 2023 (arXiv:2209.07399)."""

import math

from mettle import perturb
from mettle.typed import TrainingAttack


def eps_at(attack: TrainingAttack, epoch: float) -> float:
    """Radius of the training attack.

    Parameters
    ----------
    attack : the recipe's block, with eps in pixel range and `schedule`
    epoch : epochs done so far, with the part of the current one

    Returns
    -------
    float
        In pixel range: 0 before `zero_epochs`, eps from `period` on, between them linear or half a sine wave. The
        ramp counts from `zero_epochs` but is as long as `period`, so that with zero epochs it ends in a jump, as in the
        original. A constant schedule is always eps.
    """
    eps, schedule = attack["eps"], attack["schedule"]
    if schedule["shape"] == "constant":
        return eps
    now = epoch if schedule["by"] == "iteration" else math.floor(epoch)
    if now < schedule["zero_epochs"]:
        return 0.0
    if now >= schedule["period"]:
        return eps
    share = (now - schedule["zero_epochs"]) / schedule["period"]
    return eps * (share if schedule["shape"] == "linear" else (1 + math.sin(math.pi * (share - 0.5))) / 2)


def step_size(attack: TrainingAttack, eps: float) -> float:
    """Step size at the current radius: that of the final radius unless `tie_step_size`."""
    size = perturb.step_size(attack, "recipe:attack.step_size")
    return size * eps / attack["eps"] if attack["tie_step_size"] else size
