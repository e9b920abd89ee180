"""What training needs to know of each dense task: its models, its targets, and how both change with an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle.data.dense import Change
from mettle.data.target_store import TargetStore
from mettle.models.adapters import depth, detector, segmenter
from mettle.models.detections import Annotations, annotations
from mettle.stages.transfer import maps, objects
from mettle.typed import Recipe


@dataclass(frozen=True)
class Kind:
    """A dense task, as training sees it.

    Attributes
    ----------
    create : (metadata, seed, drop path) to a model with random weights; it has `backbone`, and
        ``losses(images, targets)``, losses by name whose sum is minimised. With a linear head (metadata, seed, drop
        path, network), and ``maps(images)`` with ``head_losses(maps, targets)`` in place of both at once
    about : keys of the metadata that such a model is made from
    read : the target of the image at a position of a store
    stack : targets of a batch, as `losses` takes them, from those of its images
    move : the same on a device
    change : of a recipe, the random changes of an image and its target; None where there are none
    options : of a recipe and the number of updates so far, keywords of the losses
    """

    create: Callable[..., nn.Module]
    about: Sequence[str]
    read: Callable[[TargetStore, int], Any]
    stack: Callable[[list[Any]], Any]
    move: Callable[[Any, torch.device], Any]
    change: Callable[[Recipe, int | None], Change | None]
    options: Callable[[Recipe, int], dict[str, Any]] = lambda recipe, updates: {}


def _label_map(targets: TargetStore, index: int) -> np.ndarray:
    return targets.label_map(index)


def _label_maps(maps: list[np.ndarray]) -> Tensor:
    """Classes of pixels (n, h, w), int64."""
    return torch.from_numpy(np.stack(maps).astype(np.int64))


def _depth(targets: TargetStore, index: int) -> np.ndarray:
    return targets.depth(index)


def _depths(maps: list[np.ndarray]) -> Tensor:
    """Distances of pixels in metres (n, h, w), float32; 0 where there is none."""
    return torch.from_numpy(np.stack(maps).astype(np.float32))


def _to_device(targets: Tensor, device: torch.device) -> Tensor:
    return targets.to(device, non_blocking=True)


def _objects(targets: TargetStore, index: int) -> Annotations:
    return annotations(targets.objects(index), tuple(targets.sizes[index].tolist()))


def _moved(targets: list[Annotations], device: torch.device) -> list[Annotations]:
    return [target.to(device) for target in targets]


KINDS = {
    "segmentation": Kind(
        create=segmenter.create,
        about=segmenter.ABOUT,
        read=_label_map,
        stack=_label_maps,
        move=_to_device,
        change=maps.segmentation,
    ),
    "depth": Kind(
        create=depth.create,
        about=depth.ABOUT,
        read=_depth,
        stack=_depths,
        move=_to_device,
        change=maps.depth,
        options=lambda recipe, updates: {"warm": updates < recipe["linear"]["warm_updates"]},
    ),
    "detection": Kind(
        create=detector.create,
        about=detector.ABOUT,
        read=_objects,
        stack=list,
        move=_moved,
        change=objects.detection,
    ),
}
