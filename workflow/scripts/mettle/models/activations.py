"""Activations along the blocks of timm's vision transformers, of class token and patch tokens."""

from collections.abc import Callable

from torch import Tensor, nn

from mettle.models import features
from mettle.models.layers import watched

INPUT = "input"  # name of what enters the first block


def names(network: nn.Module) -> list[str]:
    """Names of the layers of `along`: what enters the first block, and every block.

    Raises
    ------
    ValueError
        If the network is none of timm's vision transformers.
    """
    features.check(network)
    return [INPUT, *(f"blocks.{number}" for number in range(len(network.blocks)))]


def along(model: nn.Module, images: Tensor, keep: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """What is kept of the class token and patch tokens before the first block and after each, by layer.

    Registers and robustness tokens are left out, and nothing else is: without robustness tokens every patch counts.

    Parameters
    ----------
    model : with normalisation inside, on a vision transformer of timm, with or without robustness tokens
    images : (n, 3, h, w) in [0, 1]
    keep : of class token and patch tokens (n, 1 + patches, d) of a layer, what is kept

    Raises
    ------
    ValueError
        If the network is none of timm's vision transformers.
    """
    network = model.network
    first, *blocks = names(network)
    before: dict[str, Tensor] = {}

    def kept(sequence: Tensor) -> Tensor:
        return keep(features.of_image(network, sequence))

    # Robustness tokens enter in such a hook too, after this one.
    handle = network.blocks[0].register_forward_pre_hook(
        lambda module, args: before.update({first: kept(args[0])}), prepend=True
    )
    try:
        with watched(network, blocks, kept) as after:
            network.forward_features((images - model.mean) / model.std)
    finally:
        handle.remove()
    return before | after


def largest(tokens: Tensor) -> Tensor:
    """Largest absolute value over tokens and channels (n,) of activations (n, tokens, d)."""
    return tokens.abs().flatten(1).amax(1)
