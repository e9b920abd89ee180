"""
Semantic segmentation by the heads of mmsegmentation: UPerNet on any backbone.

The heads and their losses are mmsegmentation's; what its data preprocessor and its `EncoderDecoder` do around them is
here, in one module from images in [0, 1] to logits, through which gradients flow to the image.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.adapters import backbone, operators
from mettle.models.adapters.backbone import Backbone
from mettle.models.adapters.quiet import quiet
from mettle.models.classifier import Size
from mettle.typed import UperNet
from mettle.units import sides

IGNORED = 255  # in label maps of data sets that ignore nothing, for mmsegmentation needs a value
# Metadata from which a segmenter is made, besides mean and std.
ABOUT = ("arch", "size", "map_classes", "ignore", "backbone", "upernet", "scale", "transfer")


class Segmenter(nn.Module):
    """A backbone and mmsegmentation's heads, with normalisation and resizing inside.

    Parameters
    ----------
    maps : the backbone
    head : decode head, from maps to logits
    auxiliary : further head, whose loss is added in training; None for none
    mean, std : per channel, in pixel range [0, 1]
    size : side of the training images in pixels, or [height, width]
    scale : [longer, shorter side] into which an image is resized before the network, its aspect kept; None for images
        as they are
    """

    def __init__(
        self,
        maps: Backbone,
        head: nn.Module,
        auxiliary: nn.Module | None,
        mean: Sequence[float],
        std: Sequence[float],
        size: Size,
        scale: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.backbone, self.decode_head, self.auxiliary_head = maps, head, auxiliary
        self.size, self.scale = sides(size), scale
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, map_classes, h, w) of images (n, 3, h, w) in [0, 1] at their own size."""
        found = images if self.scale is None else resize(images, scaled(images.shape[-2:], self.scale))
        padded = self._padded(found)
        logits = resize(self.decode_head(self.backbone(padded)), padded.shape[-2:])
        height, width = found.shape[-2:]
        return resize(logits[..., :height, :width], images.shape[-2:])

    def losses(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Losses by name, each a mean over all pixels, of images (n, 3, h, w) in [0, 1] and label maps (n, h, w).

        Images are taken as they are, not resized. Ignored pixels add nothing to a loss, but count in its mean, as in
        mmsegmentation.
        """
        maps = self.backbone(self._padded(images))
        samples = _samples(self._pad(targets, self.decode_head.ignore_index))
        heads = {"decode": self.decode_head, "auxiliary": self.auxiliary_head}
        return {
            name: head.loss_by_feat(head(maps), samples)["loss_ce"] for name, head in heads.items() if head is not None
        }

    def _padded(self, images: Tensor) -> Tensor:
        """Normalised images, padded with zeros."""
        return self._pad((images - self.mean) / self.std, 0)

    def _pad(self, images: Tensor, value: int) -> Tensor:
        """Images (n, ..., h, w), padded below and on the right to multiples of what the backbone asks for."""
        down, right = (-side % self.backbone.divisor for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, down), value=value)


def create(about: dict[str, Any], seed: int, drop_path: float = 0.0) -> Segmenter:
    """A segmenter with random weights that depend only on the seed.

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
        with quiet():
            heads = _heads(maps, about["upernet"], about["map_classes"], about["ignore"])
    return Segmenter(maps, *heads, about["mean"], about["std"], about["size"], about["scale"])


def scaled(size: Sequence[int], scale: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image resized into [longer, shorter side], its aspect kept."""
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return tuple(int(side * factor + 0.5) for side in size)


def _heads(maps: Backbone, options: UperNet, classes: int, ignore: int | None) -> tuple[nn.Module, nn.Module | None]:
    operators.register()
    from mmseg.models.decode_heads import FCNHead, UPerHead

    shared = {"num_classes": classes, "norm_cfg": {"type": "BN"}, "dropout_ratio": options["dropout"]}
    shared["ignore_index"] = IGNORED if ignore is None else ignore
    places = list(range(len(maps.channels)))
    every = {"in_channels": maps.channels, "in_index": places, "pool_scales": options["pool_scales"]}
    head = UPerHead(channels=options["channels"], loss_decode=_loss(1.0), **every, **shared)
    auxiliary = None
    if options["auxiliary_weight"]:
        third = {"in_channels": maps.channels[-2], "in_index": places[-2], "num_convs": 1, "concat_input": False}
        loss = _loss(options["auxiliary_weight"])
        auxiliary = FCNHead(channels=options["auxiliary_channels"], loss_decode=loss, **third, **shared)
    for one in filter(None, (head, auxiliary)):
        if options["init_std"] is not None:
            nn.init.normal_(one.conv_seg.weight, std=options["init_std"])
            nn.init.zeros_(one.conv_seg.bias)
    return head, auxiliary


def _loss(weight: float) -> dict[str, Any]:
    return {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": weight}


def _samples(targets: Tensor) -> list[Any]:
    """Label maps in mmsegmentation's records."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    return [SegDataSample(gt_sem_seg=PixelData(data=target[None])) for target in targets]


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Images or maps (n, c, h, w) at another height and width, bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
