"""What models of segmentation and detection share: a backbone, with normalisation and resizing of its images inside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.adapters import backbone
from mettle.models.adapters.backbone import Backbone
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

    def resized(self, images: Tensor) -> Tensor:
        """Images at the size that the network takes them."""
        return images if self.scale is None else resize(images, scaled(images.shape[-2:], self.scale))

    def normalised(self, images: Tensor) -> Tensor:
        """Images in the range that the network takes them."""
        return (images - self.mean) / self.std


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are drawn here depend only on the seed, and the generator of the process stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def backbone_of(about: dict[str, Any], drop_path: float) -> Backbone:
    """The backbone that metadata describe, with random weights and this rate of stochastic depth."""
    shape = (about["arch"], about["size"], about["backbone"], about["transfer"], drop_path)
    return backbone.create(*shape, about.get("code"))


def scaled(size: Sequence[int], scale: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image resized into [longer, shorter side], its aspect kept."""
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return tuple(int(side * factor + 0.5) for side in size)


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Images or maps (n, c, h, w) at another height and width, bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
