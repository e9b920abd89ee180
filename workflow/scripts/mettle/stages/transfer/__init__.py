"""Transfer stage: from images, their dense targets and the weights of a classifier to a segmenter or detector."""

from mettle.stages.transfer.loop import transfer

__all__ = ["transfer"]
