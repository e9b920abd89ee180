"""Objects in images as tensors: those that are there, and those that a detector finds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mettle.data.item import Object
from mettle.data.targets import masks_of


@dataclass(frozen=True)
class Detections:
    """
    What a detector finds in one image, by falling score.

    Attributes
    ----------
    boxes : float (k, 4), corners x0, y0, x1, y1 in pixels of the image
    scores : float (k,), in [0, 1]
    labels : integers (k,), class of each
    masks : bool (k, h, w), of the image's size; None from a detector that predicts none
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)


@dataclass(frozen=True)
class Annotations:
    """
    The objects in one image, from which a detector learns.

    Attributes
    ----------
    boxes : float (k, 4), corners x0, y0, x1, y1 in pixels of the image
    labels : int64 (k,), class of each
    crowds : bool (k,), which are groups of objects; a detector does not learn from them
    masks : bool (k, h, w), of the image's size; None where an object has none
    size : height and width of the image, which may be padded to those of a batch below and on the right
    """

    boxes: Tensor
    labels: Tensor
    crowds: Tensor
    masks: Tensor | None
    size: tuple[int, int]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def to(self, device: torch.device | str) -> "Annotations":
        """The same on a device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items()})


def annotations(objects: Sequence[Object], size: tuple[int, int]) -> Annotations:
    """The objects in an image of this height and width."""
    masked = all(one.mask is not None for one in objects)
    return Annotations(
        boxes=torch.tensor([one.box for one in objects], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([one.label for one in objects], dtype=torch.int64),
        crowds=torch.tensor([one.crowd for one in objects], dtype=torch.bool),
        masks=torch.from_numpy(masks_of(list(objects), size)) if masked else None,
        size=size,
    )
