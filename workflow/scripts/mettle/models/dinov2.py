"""
Vision transformers of DINOv2, Oquab et al. 2023 (arXiv:2304.07193), without and with registers, Darcet et al. 2023
(arXiv:2309.16588).

They are timm's networks, with its names of weights, and take images of any size that their patches divide: position
embeddings stay those of training, 37 x 37 for images of 518 pixels, and are interpolated in every pass, as the public
code does (facebookresearch/dinov2, commit b8931f7). timm interpolates them once, at another size for another network,
in a way that neither kind was trained with. Importing this takes seconds, because timm does.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed, SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mettle.units import sides, size_text

PATCH = 14  # side in pixels
TRAINED = 518  # side in pixels of the images that the position embeddings are for
# Added to the number of patches a side before it is divided by that of training, in networks without registers.
OFFSET = 0.1

# timm's factor gives 8192 for a width of 1536: two layers of 4096 in one.
_SWIGLU = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 2.66667 * 2}
SHAPES: dict[str, dict[str, Any]] = {
    "s": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    "b": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "l": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
    "g": {"embed_dim": 1536, "depth": 40, "num_heads": 24, **_SWIGLU},
}


class Dinov2(VisionTransformer):
    """A vision transformer with the position embeddings of DINOv2.

    Parameters
    ----------
    antialias : how position embeddings are interpolated, as the weights were trained: False for those without
        registers, whatever tokens were given to them later; True for those with registers
    reg_tokens : number of registers. With registers, `cls_token` includes the position embedding of the class token,
        and `pos_embed` (1, 1369, d) has none for it; without, it is the first row of `pos_embed` (1, 1370, d)
    options : others of timm's VisionTransformer, such as `embed_dim` and `num_classes`

    Notes
    -----
    With h x w patches, of 37 x 37, the embeddings are interpolated bicubically in float32: to the size (h, w) with
    antialiasing, or, without antialiasing, by the factors (h + 0.1) / 37 and (w + 0.1) / 37, from which also follows
    where they are read. At 37 x 37 they are taken as they are.
    """

    def __init__(self, *, antialias: bool, reg_tokens: int = 0, **options: Any) -> None:
        fixed = {"img_size": TRAINED, "patch_size": PATCH, "embed_layer": Patches, "dynamic_img_size": True}
        folded = {"reg_tokens": reg_tokens, "no_embed_class": reg_tokens > 0}
        super().__init__(**{"init_values": 1.0} | options, **fixed, **folded)
        self.antialias = antialias

    def positions(self, height: int, width: int) -> Tensor:
        """Position embeddings (1, height * width, d) of so many patches, row by row."""
        trained = self.pos_embed if self.no_embed_class else self.pos_embed[:, 1:]
        grid = self.patch_embed.grid_size
        if (height, width) == grid:
            return trained
        maps = trained.float().unflatten(1, grid).permute(0, 3, 1, 2)
        if self.antialias:
            found = F.interpolate(maps, size=(height, width), mode="bicubic", antialias=True)
        else:
            factors = [(side + OFFSET) / of for side, of in zip((height, width), grid, strict=True)]
            found = F.interpolate(maps, scale_factor=factors, mode="bicubic")
        return found.flatten(2).transpose(1, 2).to(trained.dtype)

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Tokens (n, 1 + registers + h * w, d) of patches (n, h, w, d): timm calls it between patches and blocks."""
        n, height, width, _ = x.shape
        patches = x.flatten(1, 2) + self.positions(height, width)  # in float32 under autocast, as the authors' are
        first = self.cls_token if self.no_embed_class else self.cls_token + self.pos_embed[:, :1]
        before = [first] if self.reg_token is None else [first, self.reg_token]
        return self.pos_drop(torch.cat([*(token.expand(n, -1, -1) for token in before), patches], dim=1))


class Patches(PatchEmbed):
    """timm's patches, for images of any size that they divide."""

    def forward(self, images: Tensor) -> Tensor:
        """Patches (n, h, w, d) of images (n, 3, h * 14, w * 14)."""
        check(images.shape[-2:])
        return super().forward(images)


def create(kind: str, classes: int, size: int | Sequence[int], *, registers: bool = False, **options: Any) -> Dinov2:
    """A network with random weights.

    Parameters
    ----------
    kind : key of `SHAPES`
    classes : number of logits, of a linear layer on the class token; 0 for none
    size : of the images in pixels; weights do not depend on it
    registers : whether it is one of those with 4 registers
    options : others of timm's VisionTransformer; `reg_tokens` for another number of registers, as in networks whose
        robustness tokens have become registers

    Raises
    ------
    ValueError
        If patches do not divide the size.
    """
    check(size)
    tokens = {"reg_tokens": 4 if registers else 0}
    return Dinov2(antialias=registers, num_classes=classes, **SHAPES[kind] | tokens | options)


def check(size: int | Sequence[int]) -> None:
    """Raise ValueError unless patches divide a size, in pixels."""
    if any(side % PATCH or side < PATCH for side in sides(size)):
        raise ValueError(
            f"DINOv2 takes images whose sides are multiples of {PATCH} pixels, not {size_text(size)}: "
            f"set size to one, such as 224 or {TRAINED}"
        )
