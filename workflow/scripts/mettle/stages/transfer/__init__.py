"""Transfer stage: segmenters and detectors, trained on the weights of classifiers or from published weights."""

from mettle.stages.transfer.convert import convert
from mettle.stages.transfer.loop import transfer

__all__ = ["convert", "transfer"]
