"""Depth by a linear layer on patch tokens that weighs distances at every place, as DINOv2's heads do."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.adapters.backbone import Backbone
from mettle.models.adapters.dense import Dense, backbone_of, resize, seeded
from mettle.models.depth import gradient_loss, sig_loss

# Metadata from which such a model is made, besides mean and std.
ABOUT = ("arch", "size", "backbone", "linear", "scale", "transfer")
_LEAST = 0.1  # of the weight of a bin, so that none is impossible


class DepthEstimator(Dense):
    """Patch tokens and a linear layer on them, with normalisation and resizing inside.

    Each place has a weight max(0, logit) + 0.1 for each of some distances; its depth is their weighted mean.

    Parameters
    ----------
    maps : the patch tokens
    about : metadata, `ABOUT` with mean and std

    Notes
    -----
    Oquab et al. 2023 (arXiv:2304.07193), after AdaBins (Bhat, Alhashim & Wonka 2021, arXiv:2011.14141) with fixed bins.
    The layer runs before maps are enlarged, not after, which gives the same logits at a fraction of the cost.
    """

    bins: Tensor

    def __init__(self, maps: Backbone, about: dict[str, Any]) -> None:
        super().__init__(maps, about)
        self.options = options = about["linear"]
        self.register_buffer("bins", _bins(options), persistent=False)
        self.head = nn.Conv2d(sum(maps.channels), len(self.bins), 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Depths (n, h, w) in metres of images (n, 3, h, w) in [0, 1] at their own size."""
        found = self.resized(images)
        depths = self._whole(found)
        if self.options["flip"]:
            depths = (depths + self._whole(found.flip(-1)).flip(-1)) / 2
        return resize(depths[:, None], images.shape[-2:])[:, 0]

    def _whole(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self._depths(self.maps(images), self.padded_size((height, width)))[:, :height, :width]

    def _depths(self, maps: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor:
        """Depths (n, h, w) at this size."""
        logits = self.head(torch.cat(maps, dim=1))
        factor = self.options["upsample"]
        logits = F.interpolate(logits, scale_factor=factor, mode="bilinear") if factor > 1 else logits
        weights = logits.relu() + _LEAST
        depths = torch.einsum("nkhw,k->nhw", weights / weights.sum(1, keepdim=True), self.bins)
        return resize(depths[:, None], size)[:, 0]

    def losses(self, images: Tensor, targets: Tensor, *, warm: bool = False) -> dict[str, Tensor]:
        """Losses by name of images (n, 3, h, w) in [0, 1] and depth maps (n, h, w) in metres, 0 where there is none.

        Images are taken as they are, not resized. For `warm` see `sig_loss`.
        """
        return self.head_losses(self.maps(images), targets, warm=warm)

    def head_losses(self, maps: tuple[Tensor, ...], targets: Tensor, *, warm: bool = False) -> dict[str, Tensor]:
        """The same from the backbone's maps of the images."""
        height, width = targets.shape[-2:]
        depths = self._depths(maps, self.padded_size((height, width)))[:, :height, :width].float()
        found = {"scale_invariant": sig_loss(depths, targets, warm=warm)}
        if weight := self.options["gradient_weight"]:
            found["gradient"] = weight * gradient_loss(depths, targets)
        return found


def _bins(options: dict[str, Any]) -> Tensor:
    """The distances, in metres."""
    nearest, farthest = options["range"]
    if options["spacing"] == "log":
        return torch.logspace(*torch.tensor([nearest, farthest]).log10().tolist(), options["bins"])
    return torch.linspace(nearest, farthest, options["bins"])


def create(
    about: dict[str, Any], seed: int, drop_path: float = 0.0, network: nn.Module | None = None
) -> DepthEstimator:
    """A model of depth with a random head that depends only on the seed.

    Parameters
    ----------
    about : `ABOUT` with mean, std and, where there is some, `code`; as metadata of weights have them
    seed : of the weights
    drop_path : rate of the network's stochastic depth
    network : vision transformer, as it is; made from the metadata by default
    """
    with seeded(seed):
        return DepthEstimator(backbone_of(about, drop_path, network), about)
