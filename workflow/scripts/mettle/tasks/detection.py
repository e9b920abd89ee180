"""Detection: objects in images, each with a class, a box and, where model and data have them, a mask."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mettle.data.item import Object
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.models.detections import Detections
from mettle.perturb import Goal, named
from mettle.tasks import matching
from mettle.tasks.scores import main
from mettle.tasks.task import Task


class Truth(NamedTuple):
    """The objects in an image, and its height and width."""

    objects: list[Object]
    size: tuple[int, int]


def objects(store: Store, positions: np.ndarray) -> list[Truth]:
    """The objects in each image."""
    beside = TargetStore(store.path)
    return [Truth(beside.objects(int(index)), tuple(beside.sizes[index].tolist())) for index in positions]


def check(found: Sequence[Detections], targets: Sequence[Truth], ids: Sequence[int]) -> None:
    """Raise ValueError unless detections are finite, and masks are of the size of their images."""
    for one, truth, name in zip(found, targets, ids, strict=True):
        if not (one.boxes.isfinite().all() and one.scores.isfinite().all()):
            raise ValueError(f"{named([name], [0])}: boxes or scores of detections are not finite")
        if one.masks is not None and tuple(one.masks.shape[1:]) != truth.size:
            raise ValueError(
                f"{named([name], [0])}: masks of detections are of {tuple(one.masks.shape[1:])} pixels, its image of "
                f"{truth.size}"
            )


def answers(found: Sequence[Detections], targets: Sequence[Truth]) -> dict[str, list[np.ndarray]]:
    """Columns of `tables.ANSWERS["detection"]`, lists of arrays of any length, from which all scores follow."""
    rows = [matching.row(*map(_array, _parts(one)), *truth) for one, truth in zip(found, targets, strict=True)]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _parts(found: Detections) -> tuple[Tensor | None, ...]:
    return found.labels, found.scores, found.boxes, found.masks


def _array(part: Tensor | None) -> np.ndarray | None:
    return None if part is None else part.detach().cpu().numpy()


def _no_goal(targets: Sequence[Truth]) -> Goal:
    raise ValueError("no attack is known for detection: attack a model of another task")


DETECTION = Task(
    name="detection",
    targets=objects,
    check=check,
    goal=_no_goal,
    aims={},
    logits=False,
    answers=answers,
    table=None,
    score=main("detection"),
    native=True,
)
