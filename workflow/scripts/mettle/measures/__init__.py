"""
Measures of representational similarity, by name.

Every measure compares two arrays of features whose rows are the same images in the same order. `prepare` does the work
that is needed once per model; `Measure.score` then compares two prepared models; `compare` does both for one pair, and
`pairwise` for all pairs of several models. `floor` and `baseline` give the scores of unrelated models, and
`calibrate` says how far a score is above those.
"""

from mettle.measures.base import Measure, check
from mettle.measures.calibration import Calibration
from mettle.measures.chance import baseline, calibrate, floor, permuted
from mettle.measures.registry import MEASURES, compare, get, pairwise, prepare

__all__ = [
    "MEASURES",
    "Calibration",
    "Measure",
    "baseline",
    "calibrate",
    "check",
    "compare",
    "floor",
    "get",
    "pairwise",
    "permuted",
    "prepare",
]
