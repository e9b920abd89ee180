"""Images of a dense task with their targets, and what a model makes of them, for people to look at."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mettle.data.preview import classes_over, distances, thumbnail
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.stages.attack.evaluate import attacked, judge
from mettle.tasks.scores import frame

_LARGEST = 256  # pixels of the longer side
# An image, uint8 (h, w, 3), and a target or an answer of it, as what people see of the latter.
Drawn = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pictures(
    evaluation: Evaluation,
    keys: dict[str, Any],
    options: dict[str, Any],
    n: int,
    through: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table `pictures`: of every image five, itself, its target, the answer, and the two under attack.

    Parameters
    ----------
    evaluation : a model of segmentation or depth, and the held-out images
    keys : dataset, split, model, attack
    options : options of the attack with defaults filled in
    n : images, drawn for the data set, so that all its models have the same
    through : weights of another model, which the attack sees in place of this one
    """
    opened = evaluation.open().faster()
    seen = evaluation.on(through, evaluation.store).open().faster() if through else opened
    told = keys | {"norm": options["norm"], "eps": float(options["eps"]), "measure": opened.task.score.measure}
    rows = []
    for batch in opened.batches(opened.split(opened.sample(n)), "pictures"):
        images, _ = attacked(seen, batch, options)
        answers = [judge(opened.model, batch.images), judge(opened.model, images)]
        rows += [told | row for row in _rows(opened, batch, images, answers)]
    return sorted(rows, key=lambda row: row["id"])  # the sort is stable


def _rows(opened: Opened, batch: Batch, images: Tensor, answers: list[Tensor]) -> Iterator[dict[str, Any]]:
    """Rows of each image of a batch, without what is the same for all."""
    before, after = _pixels(batch.images), _pixels(images)
    targets, (clean, under) = batch.targets.cpu().numpy(), (_shown(opened, found) for found in answers)
    values = [_scores(opened, found, batch.targets) for found in answers]
    for k, number in enumerate(batch.ids):
        draw = _DRAWN[opened.task.name](targets[k], answers[0])
        parts = {
            "image": (before[k], None),
            "target": (draw(before[k], targets[k]), None),
            "answer": (draw(before[k], clean[k]), values[0][k]),
            "attacked": (after[k], None),
            "attacked_answer": (draw(after[k], under[k]), values[1][k]),
        }
        for shows, (picture, value) in parts.items():
            about = {"id": number, "shows": shows, "n": 1, "value": value, "lo": None, "hi": None}
            note = None if value is not None else "undefined" if "answer" in shows else "no answer"
            yield about | {"note": note, "image": thumbnail(picture, _LARGEST)}


def _pixels(images: Tensor) -> np.ndarray:
    """Images (n, 3, h, w) in [0, 1] as uint8 (n, h, w, 3)."""
    return (images.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()


def _scores(opened: Opened, outputs: Tensor, targets: Tensor) -> list[float | None]:
    """The score of each image alone; None where it is undefined."""
    found = frame({key: value.cpu().numpy() for key, value in opened.task.answers(outputs, targets).items()})
    values = [opened.task.score.value(found.iloc[[k]]) for k in range(len(found))]
    return [None if np.isnan(value) else float(value) for value in values]


def _shown(opened: Opened, outputs: Tensor) -> np.ndarray:
    """Classes or distances of pixels (n, h, w)."""
    return (outputs.argmax(1) if opened.task.logits else outputs).cpu().numpy()


def _classes(target: np.ndarray, logits: Tensor) -> Drawn:
    """Classes in their colours, where the target counts."""
    ignored = target >= logits.shape[1]

    def draw(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return classes_over(image, np.where(ignored, -1, labels), -1)

    return draw


def _distances(target: np.ndarray, depths: Tensor) -> Drawn:
    """Distances in colours over the range of the target, where it counts."""
    known = target[target > 0]
    draw = partial(distances, low=float(known.min()), high=float(known.max()))
    return lambda image, metres: draw(np.where(target > 0, metres, 0))


_DRAWN: dict[str, Callable[[np.ndarray, Tensor], Drawn]] = {"segmentation": _classes, "depth": _distances}
