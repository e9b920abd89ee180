"""Class token and patch tokens of timm's vision transformers: DINOv2 and 3, DeiT, image towers of CLIP and SigLIP."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def tokens(network: nn.Module, images: Tensor) -> Tensor:
    """Class token and patch tokens (n, 1 + patches, d) after the final norm; registers are left out.

    A network without a class token, such as SigLIP's, gives patch tokens (n, patches, d) alone; one that normalises
    after pooling gives them as they enter it. Gradients reach the images.

    Parameters
    ----------
    network : vision transformer of timm; with or without a head, which is not run
    images : (n, 3, h, w), normalised as the network takes them

    Raises
    ------
    ValueError
        If the network is none of timm's vision transformers.
    """
    check(network)
    return of_image(network, network.forward_features(images))


def of_image(network: nn.Module, sequence: Tensor) -> Tensor:
    """Class token and patch tokens (n, 1 + patches, d) of the tokens (n, all, d) that a network's blocks pass on."""
    patches = sequence[:, network.num_prefix_tokens :]
    return patches if network.cls_token is None else torch.cat([sequence[:, :1], patches], dim=1)


def intermediate(
    network: nn.Module, images: Tensor, layers: Sequence[int], norm: bool
) -> list[tuple[Tensor | None, Tensor]]:
    """Class token (n, d), or None without one, and patch tokens as maps (n, d, h, w) after some of the blocks.

    Parameters
    ----------
    network, images : as in `tokens`
    layers : blocks, counted from 0, or from the end with -1 for the last; results have their order
    norm : whether the network's final norm is applied to each

    Raises
    ------
    ValueError
        If the network is none of timm's vision transformers, or has no such block.
    """
    check(network)
    depth = len(network.blocks)
    if wrong := [layer for layer in layers if not -depth <= layer < depth]:
        raise ValueError(f"{type(network).__name__} has blocks 0 to {depth - 1}, or -{depth} to -1, but not {wrong[0]}")
    blocks = [layer % depth for layer in layers]
    taken = sorted(set(blocks))  # timm's results have the order of blocks, and each once
    options = {"norm": norm, "stop_early": True, "intermediates_only": True}
    prefixed = network.num_prefix_tokens > 0  # Eva fails when asked for tokens that it does not have
    found = network.forward_intermediates(images, taken, return_prefix_tokens=prefixed, **options)
    pairs = [(before[:, 0], maps) for maps, before in found] if prefixed else [(None, maps) for maps in found]
    if network.cls_token is None:  # what comes first is a register
        pairs = [(None, maps) for _, maps in pairs]
    return [pairs[taken.index(block)] for block in blocks]


def check(network: nn.Module) -> None:
    """Raise ValueError unless a network is a vision transformer of timm."""
    from timm.models import beit, eva, vision_transformer, vision_transformer_relpos

    known = (
        vision_transformer.VisionTransformer,
        vision_transformer_relpos.VisionTransformerRelPos,
        eva.Eva,
        beit.Beit,
    )
    if not isinstance(network, known):
        raise ValueError(
            f"{type(network).__name__} is no vision transformer of timm, so it has no class token and patch tokens: "
            "choose an architecture such as dinov2_vits14 or a vit_ of timm"
        )


class Features(nn.Module):
    """A model that gives class token and patch tokens in place of logits.

    Parameters
    ----------
    model : with normalisation inside, on a vision transformer of timm
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        check(model.network)
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Class and patch tokens (n, 1 + patches, d), as `tokens` gives them, of images (n, 3, h, w) in [0, 1]."""
        return tokens(self.model.network, (images - self.model.mean) / self.model.std)
