"""Random changes of images together with their label maps, by the transforms of mmcv and mmsegmentation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mettle.data.dense import Change
from mettle.models.adapters import operators
from mettle.models.adapters.quiet import quiet
from mettle.models.adapters.segmenter import IGNORED
from mettle.typed import Recipe
from mettle.units import sides

Step = Callable[[dict[str, Any]], dict[str, Any]]


def segmentation(recipe: Recipe, ignore: int | None) -> Change | None:
    """The changes of a recipe's `augment`: resizing, crop, flip, photometric distortion, in this order; None for none.

    A crop that is smaller than the input is padded: the image with the mean, which normalisation makes 0, the label map
    with `ignore`.

    Parameters
    ----------
    recipe : the recipe
    ignore : value of ignored pixels in label maps; None where there is none
    """
    ignored = IGNORED if ignore is None else ignore
    steps = _steps(recipe, ignored)
    if not steps:
        return None
    size, mean = sides(recipe["input"]["size"]), torch.tensor(recipe["input"]["mean"]).view(3, 1, 1)

    def change(image: np.ndarray, labels: np.ndarray) -> tuple[Tensor, np.ndarray]:
        # mmcv's transforms take BGR.
        found = {"img": np.ascontiguousarray(image[..., ::-1]), "img_shape": image.shape[:2]}
        found |= {"gt_seg_map": labels, "seg_fields": ["gt_seg_map"]}
        for step in steps:
            found = step(found)
        pixels = torch.from_numpy(np.ascontiguousarray(found["img"][..., ::-1].transpose(2, 0, 1)))
        classes = torch.from_numpy(np.ascontiguousarray(found["gt_seg_map"]))
        return _padded(pixels.float() / 255 - mean, size, 0) + mean, _padded(classes, size, ignored).numpy()

    return change


def _steps(recipe: Recipe, ignore: int) -> list[Step]:
    options, size = recipe["augment"], sides(recipe["input"]["size"])
    operators.register()
    with quiet():
        from mmcv.transforms import RandomFlip, RandomResize
        from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop

    steps: list[Step] = []
    if options["resize_range"]:
        scale = tuple(recipe["input"]["scale"])
        steps.append(RandomResize(scale=scale, ratio_range=tuple(options["resize_range"]), keep_ratio=True))
        steps.append(RandomCrop(crop_size=size, cat_max_ratio=options["largest_class"], ignore_index=ignore))
    if options["horizontal_flip"]:
        steps.append(RandomFlip(prob=0.5))
    if options["photometric"]:
        steps.append(PhotoMetricDistortion())
    return steps


def _padded(array: Tensor, size: tuple[int, int], value: float) -> Tensor:
    """An array (..., h, w) of at least this size, with values below and on the right."""
    down, right = (max(0, side - own) for side, own in zip(size, array.shape[-2:], strict=True))
    return F.pad(array, (0, right, 0, down), value=value)
