"""Semantic segmentation: one label per pixel. Pixels whose value is no class of the model are ignored."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mettle import tables
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.perturb import Goal, named
from mettle.tasks.scores import main
from mettle.tasks.task import Task


def label_maps(store: Store, positions: np.ndarray) -> Tensor:
    """Class of each pixel (n, h, w), int64, of images of one size."""
    beside = TargetStore(store.path)
    return torch.from_numpy(np.stack([beside.label_map(int(index)) for index in positions]).astype(np.int64))


def check(logits: Tensor, targets: Tensor, ids: Sequence[int]) -> None:
    """Raise ValueError unless label maps (n, h, w) are of the size of logits (n, classes, h, w) and of their classes.

    One value beyond the classes is that of ignored pixels.
    """
    classes = logits.shape[1]
    if logits.shape[2:] != targets.shape[1:]:
        raise ValueError(f"logits are of {tuple(logits.shape[2:])} pixels, label maps of {tuple(targets.shape[1:])}")
    beyond = targets[targets >= classes].unique()
    if len(beyond) > 1:
        where = named(ids, [int((targets == beyond[0]).flatten(1).any(1).nonzero()[0])])
        raise ValueError(
            f"{where}: label maps have the values {', '.join(map(str, beyond[:2].tolist()))}, which are none of the "
            f"model's classes, 0 to {classes - 1}; only one value can be that of ignored pixels"
        )


def answers(logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Mean cross-entropy in nats (n,), 0 where all pixels are ignored; and pixels of each class (n, classes).

    Pixels are counted where they are not ignored: those of the class that are predicted as such (`intersection`), all
    that are predicted as such (`predicted`), all of the class (`true`).
    """
    classes = logits.shape[1]
    counted = targets < classes
    labels = torch.where(counted, targets, -1)
    found = torch.where(counted, logits.argmax(1), -1)
    loss = F.cross_entropy(logits.float(), labels, reduction="none", ignore_index=-1).double()
    return {
        "loss": loss.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1),
        "intersection": _pixels(torch.where(found == labels, labels, -1), classes),
        "predicted": _pixels(found, classes),
        "true": _pixels(labels, classes),
    }


def _pixels(labels: Tensor, classes: int) -> Tensor:
    """Pixels of each class (n, classes), int32, of label maps (n, h, w) in which -1 counts nowhere."""
    n = len(labels)
    shifted = labels.flatten(1) + 1 + (classes + 1) * torch.arange(n, device=labels.device)[:, None]
    return torch.bincount(shifted.flatten(), minlength=n * (classes + 1)).view(n, classes + 1)[:, 1:].int()


def untargeted(targets: Tensor) -> Goal:
    """Higher mean cross-entropy over the pixels that count; no output is a success, since no pixel decides."""

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        labels = torch.where(targets[index] < logits.shape[1], targets[index], -1)
        losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=-1)
        return losses.flatten(1).sum(1) / (labels >= 0).flatten(1).sum(1).clamp(min=1)

    return Goal(objective)


SEGMENTATION = Task(
    name="segmentation",
    targets=label_maps,
    check=check,
    goal=untargeted,
    aims={},
    logits=True,
    answers=answers,
    table=tables.ATTACKED["segmentation"],
    score=main("segmentation"),
    native=True,
)
