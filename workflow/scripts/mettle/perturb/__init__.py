"""Attacks on images: what is added to an image so that a model fails."""

from collections.abc import Callable
from dataclasses import dataclass

from mettle.perturb.norms import NORMS, confine, norm
from mettle.perturb.pgd import pgd, pgd_last
from mettle.perturb.starts import per_batch, per_image


@dataclass(frozen=True)
class Attack:
    """An attack of adversarial evaluation.

    Attributes
    ----------
    run : function with the signature of `pgd`
    norms : norms that it knows
    reference : paper
    """

    run: Callable
    norms: tuple[str, ...]
    reference: str


ATTACKS = {"pgd": Attack(pgd, ("l2", "linf"), "Madry et al. 2018, arXiv:1706.06083")}

__all__ = ["ATTACKS", "NORMS", "Attack", "confine", "norm", "per_batch", "per_image", "pgd", "pgd_last"]
