"""Objects in images as tensors: those that are there, and those that a detector finds."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from mettle.data.item import Object
from mettle.data.targets import masks_of


@dataclass(frozen=True)
class _Tensors:
    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{name: None if value is None else value.to(device) for name, value in moved.items()})

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)


@dataclass(frozen=True)
class Detections(_Tensors):
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


@dataclass(frozen=True)
class Annotations(_Tensors):
    """
    The objects in one image, from which a detector learns.

    Attributes
    ----------
    boxes : float (k, 4), corners x0, y0, x1, y1 in pixels of the image
    labels : int64 (k,), class of each
    crowds : bool (k,), which are groups of objects; a detector does not learn from them
    masks : bool (k, h, w), of the image's size; None where an object has none
    """

    boxes: Tensor
    labels: Tensor
    crowds: Tensor
    masks: Tensor | None


def annotations(objects: Sequence[Object], size: tuple[int, int]) -> Annotations:
    """The objects in an image of this height and width."""
    masked = all(one.mask is not None for one in objects)
    return Annotations(
        boxes=torch.tensor([one.box for one in objects], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([one.label for one in objects], dtype=torch.int64),
        crowds=torch.tensor([one.crowd for one in objects], dtype=torch.bool),
        masks=torch.from_numpy(masks_of(list(objects), size)) if masked else None,
    )
