"""What models of dense tasks share: a backbone, with normalisation and resizing of its images inside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.adapters import backbone
from mettle.models.adapters.backbone import Backbone, PatchMaps
from mettle.models.architectures import build_any_size
from mettle.units import sides


class Dense(nn.Module):
    """A backbone, for which images in [0, 1] are normalised and resized.

    Parameters
    ----------
    maps : the backbone
    about : of the metadata, `mean` and `std` per channel, in pixel range [0, 1]; `size`, the side of the training
        images in pixels, or [height, width]; `scale`, [longer, shorter side] into which an image is resized before the
        network, its aspect kept, or None for images as they are
    """

    mean: Tensor
    std: Tensor

    def __init__(self, maps: Backbone, about: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = maps
        self.size, self.scale = sides(about["size"]), about["scale"]
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(about[key], dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def network(self) -> nn.Module:
        """The network of the backbone."""
        return self.backbone.network

    def resized(self, images: Tensor) -> Tensor:
        """Images at the size that the network takes them."""
        return images if self.scale is None else resize(images, scaled(images.shape[-2:], self.scale))

    def normalised(self, images: Tensor) -> Tensor:
        """Images in the range that the network takes them."""
        return (images - self.mean) / self.std

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """The backbone's maps of images in [0, 1], which are normalised, then padded with zeros."""
        return self.backbone(self.pad(self.normalised(images), 0))

    def pad(self, images: Tensor, value: float) -> Tensor:
        """Images (n, ..., h, w), padded below and on the right to multiples of what the backbone asks for."""
        height, width = images.shape[-2:]
        down, right = (
            full - side for full, side in zip(self.padded_size((height, width)), (height, width), strict=True)
        )
        return F.pad(images, (0, right, 0, down), value=value)

    def padded_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Height and width of images after padding."""
        return tuple(side + -side % self.backbone.divisor for side in size)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are drawn here depend only on the seed, and the generator of the process stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def backbone_of(about: dict[str, Any], drop_path: float, network: nn.Module | None = None) -> Backbone:
    """The backbone that metadata describe, with random weights and this rate of stochastic depth, or with a network."""
    shape = (about["arch"], about["size"], drop_path, about.get("code"))
    if linear := about.get("linear"):
        found = build_any_size(shape[0], 0, *shape[1:]) if network is None else network
        return PatchMaps(found, linear, about["transfer"])
    return backbone.create(*shape[:2], about["backbone"], about["transfer"], *shape[2:])


def scaled(size: Sequence[int], scale: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image resized into [longer, shorter side], its aspect kept."""
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return tuple(int(side * factor + 0.5) for side in size)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Images or maps (n, c, h, w) at another height and width, bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
