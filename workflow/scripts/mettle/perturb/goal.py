"""The goal of an attack: the objective that it raises, and which outputs count as success."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

# (outputs, positions in the batch) to one value per image
Objective = Callable[[Tensor, Tensor], Tensor]
# (outputs, positions in the batch) to a mask of images
Success = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Goal:
    """The objective that an attack raises on the images of a batch, and which outputs are a success.

    Attributes
    ----------
    objective : of outputs for the images at some positions of the batch, one value per image, which the attack raises
    success : mask of the images on which the attack has succeeded; None where nothing is a success, as in feature
        space: then the objective alone says which iterate is the worst
    labels : (n,) true classes, for attacks that are made of margins and orders of classes
    """

    objective: Objective
    success: Success | None = None
    labels: Tensor | None = None

    def take(self, index: Tensor) -> "Goal":
        """The goal for the images at these positions."""
        success, labels = self.success, self.labels
        return Goal(
            lambda outputs, at: self.objective(outputs, index[at]),
            success and (lambda outputs, at: success(outputs, index[at])),
            None if labels is None else labels[index],
        )


def untargeted(labels: Tensor, objective: Objective | None = None) -> Goal:
    """Any class but the true one.

    Parameters
    ----------
    labels : (n,) true classes
    objective : what the attack raises; the cross-entropy to the true classes without it
    """
    return Goal(objective or cross_entropy(labels), lambda logits, index: logits.argmax(1) != labels[index], labels)


def targeted(targets: Tensor) -> Goal:
    """The class `targets` (n,) of each image, by the negative cross-entropy to it."""
    towards = cross_entropy(targets)
    return Goal(lambda logits, index: -towards(logits, index), lambda logits, index: logits.argmax(1) == targets[index])


def cross_entropy(labels: Tensor) -> Objective:
    """Cross-entropy to the classes `labels` (n,)."""
    return lambda logits, index: F.cross_entropy(logits, labels[index], reduction="none")
