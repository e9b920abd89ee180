"""Training stage: from images and a recipe, or from a published checkpoint, to weights."""

from mettle.stages.train.convert import convert
from mettle.stages.train.loop import train
from mettle.stages.train.losses import LOSSES, Loss, Step, by_epoch

__all__ = ["LOSSES", "Loss", "Step", "by_epoch", "convert", "train"]
