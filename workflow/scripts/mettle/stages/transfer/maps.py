"""Random changes of images together with their label or depth maps, by transforms of mmcv and mmsegmentation."""

from collections.abc import Callable
from functools import partial
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
    return _change(recipe, _steps(recipe, ignored), ignored)


def depth(recipe: Recipe, ignore: int | None) -> Change | None:
    """The same for depth maps, with rotation and color jitter; what a crop, a rotation or padding adds has depth 0.

    Images are not resized, which would change distances. `color_jitter` c multiplies pixels by a factor drawn from
    1 - c to 1 + c, each channel by one from 1 - 0.4 c to 1 + 0.4 c, and takes them to a power from 1 - 0.4 c to
    1 + 0.4 c, in half of the images: with 0.25 as in the training of DINOv2's heads.

    Parameters
    ----------
    recipe : the recipe
    ignore : of label maps; depth has 0
    """
    options, size = recipe["augment"], sides(recipe["input"]["size"])
    operators.register()
    with quiet():
        from mmcv.transforms import RandomFlip
        from mmseg.datasets.transforms import RandomCrop, RandomRotate

    steps: list[Step] = []
    if options.get("random_crop"):
        steps.append(RandomCrop(crop_size=size))
    if options["rotation"]:
        steps.append(RandomRotate(prob=0.5, degree=options["rotation"], pad_val=0, seg_pad_val=0))
    if options["horizontal_flip"]:
        steps.append(RandomFlip(prob=0.5))
    if options["color_jitter"]:
        steps.append(partial(_lit, options["color_jitter"]))
    return _change(recipe, steps, 0)


def _lit(strength: float, found: dict[str, Any]) -> dict[str, Any]:
    """Random gamma, brightness and colour of half of the images."""
    if np.random.rand() < 0.5:
        return found
    gamma, brightness = (1 + part * strength * np.random.uniform(-1, 1) for part in (0.4, 1))
    colour = 1 + 0.4 * strength * np.random.uniform(-1, 1, 3)
    pixels = (found["img"].astype(np.float32) / 255) ** gamma * brightness * colour
    return found | {"img": (pixels.clip(0, 1) * 255).round().astype(np.uint8)}


def _change(recipe: Recipe, steps: list[Step], ignored: int) -> Change | None:
    """An image and a map of values of its pixels through all steps, padded to the input size."""
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
        classes = torch.from_numpy(np.array(found["gt_seg_map"]))  # a copy that may be written to
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
