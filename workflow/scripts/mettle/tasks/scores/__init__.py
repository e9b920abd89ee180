"""
Scores of tasks and their confidence intervals, computed from the answers in tables, without a model or torch.

`SCORES` has them by task and measure; the first of a task is its main one.
"""

from mettle.tasks.scores.classification import CLASSIFICATION, accuracy
from mettle.tasks.scores.detection import DETECTION
from mettle.tasks.scores.score import Result, Score, clean, interval, result, samples
from mettle.tasks.scores.segmentation import SEGMENTATION

SCORES: dict[str, dict[str, Score]] = {
    "classification": CLASSIFICATION,
    "segmentation": SEGMENTATION,
    "detection": DETECTION,
}


def main(task: str) -> Score:
    """The score that sums up a task in one number."""
    return next(iter(SCORES[task].values()))


__all__ = ["SCORES", "Result", "Score", "accuracy", "clean", "interval", "main", "result", "samples"]
