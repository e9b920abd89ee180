"""
Scores of tasks and their confidence intervals, computed from the answers in tables, without a model or torch.

`SCORES` has them by task and measure; the first of a task is its main one. Some are errors, of which less is better.
"""

from mettle.tasks.scores.classification import CLASSIFICATION, accuracy
from mettle.tasks.scores.depth import DEPTH
from mettle.tasks.scores.detection import DETECTION
from mettle.tasks.scores.score import Result, Score, clean, frame, interval, result, samples
from mettle.tasks.scores.segmentation import SEGMENTATION

SCORES: dict[str, dict[str, Score]] = {
    "classification": CLASSIFICATION,
    "segmentation": SEGMENTATION,
    "detection": DETECTION,
    "depth": DEPTH,
}


def main(task: str) -> Score:
    """The score that sums up a task in one number."""
    return next(iter(SCORES[task].values()))


def share(task: str) -> Score:
    """The first score of a task of which more is better, so that a part of it can be left."""
    return next(score for score in SCORES[task].values() if not score.error)


__all__ = ["SCORES", "Result", "Score", "accuracy", "clean", "frame", "interval", "main", "result", "samples", "share"]
