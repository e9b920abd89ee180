"""Attacks: changes of an image that make a model fail."""

from collections.abc import Callable
from dataclasses import dataclass

from mettle.perturb.apgd import apgd
from mettle.perturb.autoattack import autoattack
from mettle.perturb.draws import Draws
from mettle.perturb.fab import fab
from mettle.perturb.goal import Goal, targeted, untargeted
from mettle.perturb.minimal import ddn, fmn
from mettle.perturb.norms import NORMS, confine, norm
from mettle.perturb.oracle import named
from mettle.perturb.pgd import pgd, pgd_last, pgd_trace
from mettle.perturb.square import square
from mettle.perturb.steps import step_size
from mettle.schema import check_registry


@dataclass(frozen=True)
class Attack:
    """An attack of adversarial evaluation.

    Attributes
    ----------
    run : (model, images, goal, norm, eps, draws, policy, watch, options of its own) to (attacked images, queries)
    norms : norms that it supports
    reference : paper
    """

    run: Callable
    norms: tuple[str, ...]
    reference: str


ATTACKS = {
    "pgd": Attack(pgd, ("l1", "l2", "linf"), "Madry et al. 2018, arXiv:1706.06083"),
    "apgd": Attack(apgd, ("l1", "l2", "linf"), "Croce & Hein 2020, arXiv:2003.01690, section 3"),
    "fab": Attack(fab, ("l1", "l2", "linf"), "Croce & Hein 2020, arXiv:1907.02044"),
    "square": Attack(square, ("l1", "l2", "linf"), "Andriushchenko et al. 2020, arXiv:1912.00049"),
    "ddn": Attack(ddn, ("l2",), "Rony et al. 2019, arXiv:1811.09600"),
    "fmn": Attack(fmn, ("l1", "l2", "linf"), "Pintor et al. 2021, arXiv:2102.12827"),
    "autoattack": Attack(autoattack, ("l1", "l2", "linf"), "Croce & Hein 2020, arXiv:2003.01690, section 5"),
}
check_registry("attacks", ATTACKS)

__all__ = [
    "ATTACKS",
    "NORMS",
    "Attack",
    "Draws",
    "Goal",
    "apgd",
    "autoattack",
    "confine",
    "ddn",
    "fab",
    "fmn",
    "named",
    "norm",
    "pgd",
    "pgd_last",
    "pgd_trace",
    "square",
    "step_size",
    "targeted",
    "untargeted",
]
