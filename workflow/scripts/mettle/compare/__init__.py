"""Compare stage: similarity of representations and of answers, model by model, on all images and on parts of them."""

from mettle.compare.agreement import agreements
from mettle.compare.representation import Representation, join, load, paired
from mettle.compare.similarity import similarities
from mettle.compare.subgroups import SPLITS, subgroups

__all__ = ["SPLITS", "Representation", "agreements", "join", "load", "paired", "similarities", "subgroups"]
