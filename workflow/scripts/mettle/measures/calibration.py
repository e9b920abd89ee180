"""Scores calibrated against their permutation null, so that those of models of any width can be compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mettle.measures.base import real
from mettle.scales import Scale, enough_draws


@dataclass(frozen=True)
class Calibration:
    """
    A score beside what permuted images score.

    Attributes
    ----------
    value : float
        The raw score.
    p : float
        Share of all orders of the images, the right one among them, whose score is at least as similar; at least
        1 / (draws + 1).
    threshold : float
        Raw score that a share of at most the level exceed by chance.
    calibrated : float
        In [0, 1], higher is more alike: 0 for a score that does not exceed the threshold, 1 for that of a model with
        itself.
    """

    value: float
    p: float
    threshold: float
    calibrated: float


def calibrate(scale: Scale, value: float, null: Sequence[float], level: float = 0.05) -> Calibration:
    """
    Calibrate a score.

    Parameters
    ----------
    scale : Scale
        That of the measure.
    value : float
        Raw score of two models.
    null : sequence of float
        Raw scores with the images of one model in random orders.
    level : float
        Chance that a score of independent models exceeds the threshold.

    Raises
    ------
    ValueError
        If the level is not a number between 0 and 1, or if there are so few scores of random orders that no score could
        exceed the threshold.

    Notes
    -----
    Gröger, Wen and Brbić 2026 (arXiv:2602.14486), algorithm 1: the threshold t is the ceil((1 - level) (draws + 1))-th
    smallest of the score s and those of random orders together, and the calibrated score is the positive part of
    (s - t) / (s_max - t). The greatest similarity s_max is that of a model with itself, so distances are calibrated as
    well: their negatives are similarities of at most 0.
    """
    real("level", level, 0, 1)
    if level in (0, 1):
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if not enough_draws(len(null), level):
        needed = math.ceil(1 / level - 1e-9) - 1
        raise ValueError(f"a level of {level:g} needs {needed} permutations or more, got {len(null)}")
    sign = 1 if scale.higher_is_alike else -1
    score, others, best = sign * value, [sign * other for other in null], sign * scale.self_value
    place = math.ceil((1 - level) * (len(others) + 1) - 1e-9)
    threshold = sorted([score, *others])[place - 1]
    p = (1 + sum(other >= score for other in others)) / (len(others) + 1)
    above = (score - threshold) / (best - threshold) if score > threshold else 0.0
    return Calibration(value, p, sign * threshold, min(above, 1.0))
