"""
Detection by the heads of mmdetection: Mask R-CNN, or Faster R-CNN without its masks, on any backbone.

The heads and their losses are mmdetection's; what its data preprocessor and its detectors do around them is here, in
one module from images in [0, 1] to detections at the size of the image.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.adapters import backbone, rcnn
from mettle.models.adapters.backbone import Backbone
from mettle.models.adapters.rcnn import Parts
from mettle.models.adapters.segmenter import scaled
from mettle.models.classifier import Size
from mettle.models.detections import Annotations, Detections
from mettle.units import sides

# Metadata from which a detector is made, besides mean and std.
ABOUT = ("arch", "size", "classes", "backbone", "mask_rcnn", "scale", "transfer")
_DIVISOR = 32  # sides of padded images are multiples of it, and of the backbone's


class Detector(nn.Module):
    """A backbone and mmdetection's heads, with normalisation and resizing inside.

    Parameters
    ----------
    maps : the backbone
    parts : what comes after it
    mean, std : per channel, in pixel range [0, 1]
    size : side of the training images in pixels, or [height, width]
    scale : [longer, shorter side] into which an image is resized before the network, its aspect kept; None for images
        as they are

    Attributes
    ----------
    predicts_masks : whether detections have masks
    """

    def __init__(
        self,
        maps: Backbone,
        parts: Parts,
        mean: Sequence[float],
        std: Sequence[float],
        size: Size,
        scale: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.backbone = maps
        self.neck, self.rpn_head, self.roi_head, self._kept = parts
        self.size, self.scale = sides(size), scale
        self.predicts_masks = self.roi_head.with_mask
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor | Sequence[Tensor]) -> list[Detections]:
        """Detections in images in [0, 1], (n, 3, h, w) or n of (3, h, w), at most 100 each, at their own sizes.

        In evaluation mode.
        """
        resized = [self._resized(image) for image in images]
        maps, padded = self._maps(resized)
        pairs = zip(images, resized, strict=True)
        samples = [_sample(image.shape[-2:], found.shape[-2:], padded) for image, found in pairs]
        with _exact(maps):
            proposals = self.rpn_head.predict(maps, samples, rescale=False)
            found = self.roi_head.predict(maps, proposals, samples, rescale=True)
        return [Detections(one.bboxes, one.scores, one.labels, one.get("masks")) for one in found]

    def losses(self, images: Tensor | Sequence[Tensor], targets: Sequence[Annotations]) -> dict[str, Tensor]:
        """Losses by name, each a mean, of images in [0, 1] and the objects in them, in training mode.

        Images are taken as they are, not resized. Samples of anchors and regions are drawn by torch's generator of the
        CPU.

        Raises
        ------
        ValueError
            If masks are to be learned, and an object has none.
        """
        if self.predicts_masks and any(target.masks is None for target in targets):
            raise ValueError(
                "the detector predicts masks, but objects of the training images have none: set mask_rcnn.masks of the "
                "recipe to false"
            )
        maps, padded = self._maps(list(images))
        pairs = [(image.shape[-2:], target) for image, target in zip(images, targets, strict=True)]
        blind = [_annotated(*pair, padded, labels=False, masks=False) for pair in pairs]
        samples = [_annotated(*pair, padded, labels=True, masks=self.predicts_masks) for pair in pairs]
        with _exact(maps):
            losses, proposals = self.rpn_head.loss_and_predict(maps, blind, self._kept)
            losses = {name: sum(of_maps) for name, of_maps in losses.items()}
            losses |= self.roi_head.loss(maps, proposals, samples)
        return {name.removeprefix("loss_"): value for name, value in losses.items() if name.startswith("loss_")}

    def _maps(self, images: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
        """Maps of the pyramid, and the size to which images were padded, with zeros after normalisation."""
        divisor = math.lcm(_DIVISOR, self.backbone.divisor)
        height, width = (math.ceil(max(image.shape[side] for image in images) / divisor) * divisor for side in (-2, -1))
        padded = [F.pad((image - self.mean) / self.std, _border(image, height, width)) for image in images]
        maps = self.neck(self.backbone(torch.stack(padded)))
        return tuple(found.float() for found in maps), (height, width)

    def _resized(self, image: Tensor) -> Tensor:
        if self.scale is None:
            return image
        size = scaled(image.shape[-2:], self.scale)
        return F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]


def create(about: dict[str, Any], seed: int, drop_path: float = 0.0) -> Detector:
    """A detector with random weights that depend only on the seed.

    Parameters
    ----------
    about : `ABOUT` with mean, std and, where there is some, `code`; as metadata of weights have them
    seed : of the weights
    drop_path : rate of the backbone's stochastic depth
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = (about["arch"], about["size"], about["backbone"], about["transfer"], drop_path)
        maps = backbone.create(*shape, about.get("code"))
        parts = rcnn.parts(maps, about["mask_rcnn"], about["classes"])
    return Detector(maps, parts, about["mean"], about["std"], about["size"], about["scale"])


def _border(image: Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    return 0, width - image.shape[-1], 0, height - image.shape[-2]


def _sample(size: Sequence[int], resized: Sequence[int], padded: Sequence[int]) -> Any:
    """An image in mmdetection's record: its size, that after resizing, and that after padding."""
    from mmdet.structures import DetDataSample

    factor = (resized[1] / size[1], resized[0] / size[0])
    shapes = {"ori_shape": tuple(size), "img_shape": tuple(resized), "batch_input_shape": tuple(padded)}
    return DetDataSample(metainfo=shapes | {"pad_shape": tuple(padded), "scale_factor": factor})


def _annotated(size: Sequence[int], target: Annotations, padded: Sequence[int], *, labels: bool, masks: bool) -> Any:
    """An image and its objects in mmdetection's record, with their classes or one for all, and their masks."""
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    sample, single = _sample(size, size, padded), ~target.crowds
    sample.ignored_instances = InstanceData(bboxes=target.boxes[target.crowds], labels=target.labels[target.crowds])
    found = InstanceData(bboxes=target.boxes[single], labels=target.labels[single] * int(labels))
    if masks:
        drawn = F.pad(target.masks[single], _border(target.masks, *padded))
        found.masks = BitmapMasks(drawn.cpu().numpy().astype("uint8"), *padded)
    sample.gt_instances = found
    return sample


def _exact(maps: Sequence[Tensor]) -> torch.autocast:
    """Full precision: the corners of boxes do not fit into half of it, nor do operators take it."""
    return torch.autocast(maps[0].device.type, enabled=False)
