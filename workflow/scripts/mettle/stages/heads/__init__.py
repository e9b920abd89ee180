"""Heads stage: classifiers on the features of frozen networks, and published heads of all tasks."""

from mettle.stages.heads.convert import convert
from mettle.stages.heads.loop import fit

__all__ = ["convert", "fit"]
