"""Compare stage: similarity of representations and predictions, model by model, on all images and on parts of them."""

from mettle.stages.compare.agreement import agreements
from mettle.stages.compare.representation import Representation, join, load, paired
from mettle.stages.compare.similarity import similarities
from mettle.stages.compare.subgroups import SPLITS, subgroups

__all__ = ["SPLITS", "Representation", "agreements", "join", "load", "paired", "similarities", "subgroups"]
