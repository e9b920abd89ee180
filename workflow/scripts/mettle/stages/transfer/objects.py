"""Random changes of images together with the objects in them, by the transforms of mmcv and mmdetection."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle.data.dense import Change
from mettle.models.adapters import operators
from mettle.models.adapters.quiet import quiet
from mettle.models.detections import Annotations
from mettle.typed import Recipe

Step = Callable[[dict[str, Any]], dict[str, Any]]


def detection(recipe: Recipe, ignore: int | None) -> Change | None:
    """The changes of a recipe's `augment`: resizing, crop, flip; None for none.

    Parameters
    ----------
    recipe : the recipe
    ignore : of label maps; detection has none
    """
    operators.register()
    with quiet():
        steps = _steps(recipe)
    if not steps:
        return None

    def change(image: np.ndarray, target: Annotations) -> tuple[Tensor, Annotations]:
        found = _record(image, target)
        for step in steps:
            found = step(found)
        pixels = np.ascontiguousarray(found["img"].transpose(2, 0, 1))
        return torch.from_numpy(pixels).float() / 255, _annotations(found)

    return change


def _steps(recipe: Recipe) -> list[Step]:
    options, scale = recipe["augment"], recipe["input"]["scale"]
    from mmcv.transforms import RandomChoice
    from mmdet.datasets.transforms import RandomCrop, RandomFlip, Resize

    steps: list[Step] = []
    if scale and options["short_sides"]:
        sides = _choice(options["short_sides"], max(scale))
        cropped = [_choice(options["crop_short_sides"] or [], max(scale))]
        cropped.append(RandomCrop(tuple(options["crop_range"]), "absolute_range", allow_negative_crop=True))
        ways = [[sides], [*cropped, sides]] if options["crop_short_sides"] else [[sides]]
        steps.append(RandomChoice(ways))
    elif scale:
        steps.append(Resize(tuple(scale), keep_ratio=True))
    return [*steps, RandomFlip(prob=0.5)] if options["horizontal_flip"] else steps


def _choice(short_sides: Sequence[int], longest: int) -> Step:
    from mmcv.transforms import RandomChoiceResize
    from mmdet.datasets.transforms import Resize

    scales = [(side, longest) for side in short_sides]
    return RandomChoiceResize(scales, resize_type=Resize, keep_ratio=True)


def _record(image: np.ndarray, target: Annotations) -> dict[str, Any]:
    """An image and its objects as mmdetection's transforms take them."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    found = {"img": image, "img_shape": image.shape[:2], "gt_bboxes": HorizontalBoxes(target.boxes.clone())}
    found |= {"gt_bboxes_labels": target.labels.numpy(), "gt_ignore_flags": target.crowds.numpy()}
    if target.masks is None:
        return found
    return found | {"gt_masks": BitmapMasks(target.masks.numpy().astype(np.uint8), *target.size)}


def _annotations(found: dict[str, Any]) -> Annotations:
    masks = found.get("gt_masks")
    return Annotations(
        boxes=found["gt_bboxes"].tensor,
        labels=torch.from_numpy(found["gt_bboxes_labels"]),
        crowds=torch.from_numpy(found["gt_ignore_flags"]),
        masks=None if masks is None else torch.from_numpy(masks.masks.astype(bool)),
        size=found["img"].shape[:2],
    )
