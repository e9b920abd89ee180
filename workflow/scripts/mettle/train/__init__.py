"""Training stage: from images and a recipe, or from a published checkpoint, to weights."""

from mettle.train.convert import convert
from mettle.train.loop import train
from mettle.train.losses import LOSSES, Loss, Step, by_epoch

__all__ = ["LOSSES", "Loss", "Step", "by_epoch", "convert", "train"]
