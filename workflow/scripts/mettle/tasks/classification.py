"""Classification: one label per image."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mettle import tables
from mettle.data.store import Store
from mettle.perturb import Draws, Goal, named, targeted, untargeted
from mettle.perturb.losses import margin, random_targets
from mettle.tasks.scores import main
from mettle.tasks.task import Task


def labels(store: Store, positions: np.ndarray) -> Tensor:
    """Class of each image (n,), -1 for images without one."""
    return torch.from_numpy(store.labels[positions])


def check(logits: Tensor, labels: Tensor, ids: Sequence[int]) -> None:
    """Raise ValueError unless all labels (n,) are among the classes of logits (n, classes)."""
    classes = logits.shape[1]
    if (bad := (labels < 0) | (labels >= classes)).any():
        where = named(ids, bad.nonzero()[:, 0].tolist())
        raise ValueError(f"{where}: the label is none of the model's classes, 0 to {classes - 1}")


def answers(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """True class, predicted class, cross-entropy in nats and logit margin, each (n,)."""
    exact = logits.double()
    return {
        "label": labels,
        "prediction": logits.argmax(1),
        "loss": F.cross_entropy(exact, labels, reduction="none"),
        "margin": margin(exact, labels),
    }


def least_likely(logits: Tensor, labels: Tensor) -> Tensor:
    """The least likely class other than the true one, (n,)."""
    return logits.scatter(1, labels[:, None], torch.inf).argmin(1)


def _at_random(logits: Tensor, labels: Tensor, draws: Draws) -> Goal:
    return targeted(random_targets(labels, logits.shape[1], draws))


def _at_the_least_likely(logits: Tensor, labels: Tensor, draws: Draws) -> Goal:
    return targeted(least_likely(logits, labels))


CLASSIFICATION = Task(
    name="classification",
    targets=labels,
    check=check,
    goal=untargeted,
    aims={"random": _at_random, "least_likely": _at_the_least_likely},
    logits=True,
    answers=answers,
    table=tables.ATTACKED["classification"],
    score=main("classification"),
)
