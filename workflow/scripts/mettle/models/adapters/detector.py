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
from torch import Tensor

from mettle.models.adapters import rcnn
from mettle.models.adapters.backbone import Backbone
from mettle.models.adapters.dense import Dense, backbone_of, seeded
from mettle.models.adapters.quiet import quiet
from mettle.models.detections import Annotations, Detections

# Metadata from which a detector is made, besides mean and std.
ABOUT = ("arch", "size", "classes", "backbone", "mask_rcnn", "scale", "transfer")
_DIVISOR = 32  # sides of padded images are multiples of it, and of the backbone's


class Detector(Dense):
    """A backbone and mmdetection's heads, with normalisation and resizing inside.

    Parameters
    ----------
    maps : the backbone
    about : metadata, `ABOUT` with mean and std

    Attributes
    ----------
    predicts_masks : whether detections have masks
    """

    def __init__(self, maps: Backbone, about: dict[str, Any]) -> None:
        super().__init__(maps, about)
        with quiet():
            parts = rcnn.parts(maps, about["mask_rcnn"], about["classes"])
        self.neck, self.rpn_head, self.roi_head, self._kept = parts
        self.predicts_masks = self.roi_head.with_mask

    def forward(self, images: Tensor) -> list[Detections]:
        """Detections in images (n, 3, h, w) in [0, 1], at most 100 each, at their own size; in evaluation mode."""
        size = images.shape[-2:]
        resized = self.resized(images)
        maps, padded = self._maps(self.normalised(resized))
        samples = [_sample(size, resized.shape[-2:], padded) for _ in images]
        with _exact(images):
            proposals = self.rpn_head.predict(maps, samples, rescale=False)
            found = self.roi_head.predict(maps, proposals, samples, rescale=True)
        return [Detections(one.bboxes, one.scores, one.labels, one.get("masks")) for one in found]

    def losses(self, images: Tensor, targets: Sequence[Annotations]) -> dict[str, Tensor]:
        """Losses by name, each a mean, of images (n, 3, h, w) in [0, 1] and the objects in them, in training mode.

        Images are taken as they are, not resized. What is beyond the size of a target, in images that are smaller than
        others of their batch, is replaced by the mean. Anchors and regions are drawn by torch's generator of the CPU.

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
        maps, padded = self._maps(_blanked(self.normalised(images), [target.size for target in targets]))
        blind = [_annotated(target, padded, labels=False, masks=False) for target in targets]
        samples = [_annotated(target, padded, labels=True, masks=self.predicts_masks) for target in targets]
        with _exact(images):
            losses, proposals = self.rpn_head.loss_and_predict(maps, blind, self._kept)
            losses = {name: sum(of_maps) for name, of_maps in losses.items()}
            losses |= self.roi_head.loss(maps, proposals, samples)
        return {name.removeprefix("loss_"): value for name, value in losses.items() if name.startswith("loss_")}

    def _maps(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
        """Maps of the pyramid from normalised images, and the size to which these were padded with zeros."""
        divisor = math.lcm(_DIVISOR, self.backbone.divisor)
        size = tuple(side + -side % divisor for side in images.shape[-2:])
        maps = self.neck(self.backbone(_pad(images, size)))
        return tuple(found.float() for found in maps), size


def create(about: dict[str, Any], seed: int, drop_path: float = 0.0) -> Detector:
    """A detector with random weights that depend only on the seed.

    Parameters
    ----------
    about : `ABOUT` with mean, std and, where there is some, `code`; as metadata of weights have them
    seed : of the weights
    drop_path : rate of the backbone's stochastic depth
    """
    with seeded(seed):
        return Detector(backbone_of(about, drop_path), about)


def _blanked(images: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Images (n, 3, h, w) with zeros beyond the height and width of each."""
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return images


def _pad(array: Tensor, size: tuple[int, int]) -> Tensor:
    """An array (..., h, w) with zeros below and on the right."""
    height, width = size
    return F.pad(array, (0, width - array.shape[-1], 0, height - array.shape[-2]))


def _sample(size: Sequence[int], resized: Sequence[int], padded: Sequence[int]) -> Any:
    """An image in mmdetection's record: its size, that after resizing, and that after padding."""
    from mmdet.structures import DetDataSample

    factor = (resized[1] / size[1], resized[0] / size[0])
    shapes = {"ori_shape": tuple(size), "img_shape": tuple(resized), "batch_input_shape": tuple(padded)}
    return DetDataSample(metainfo=shapes | {"pad_shape": tuple(padded), "scale_factor": factor})


def _annotated(target: Annotations, padded: tuple[int, int], *, labels: bool, masks: bool) -> Any:
    """An image and its objects in mmdetection's record, with their classes or one for all, and their masks."""
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    sample, single = _sample(target.size, target.size, padded), ~target.crowds
    sample.ignored_instances = InstanceData(bboxes=target.boxes[target.crowds], labels=target.labels[target.crowds])
    found = InstanceData(bboxes=target.boxes[single], labels=target.labels[single] * int(labels))
    if masks:
        drawn = _pad(target.masks[single].byte(), padded)
        found.masks = BitmapMasks(drawn.cpu().numpy(), *padded)
    sample.gt_instances = found
    return sample


def _exact(images: Tensor) -> torch.autocast:
    """Full precision: the corners of boxes do not fit into half of it, nor do operators take it."""
    return torch.autocast(images.device.type, enabled=False)
