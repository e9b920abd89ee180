"""First layers of published networks, changed so that networks for 224 pixels take images of 32."""

import math

from torch import nn


def restride(network: nn.Module, stride: int) -> nn.Module:
    """
    Give the convolutional stem of a patch-16 XCiT a smaller total stride, Debenedetti et al. 2023 (arXiv:2209.07399).

    The stem is four 3x3 convolutions of stride 2; the first log2(16 / stride) of them get stride 1. No weight changes
    its shape, so weights of the patch-16 network load as they are.

    Parameters
    ----------
    network : timm's Xcit with patch size 16; changed in place
    stride : side of a token in pixels: 1, 2, 4, 8 or 16

    Returns
    -------
    nn.Module
        The network: an image of n pixels a side has (n / stride)^2 tokens.

    Raises
    ------
    ValueError
        If no number of convolutions makes this stride.

    Notes
    -----
    The original changes 8 / stride convolutions, so that its patch 2 has a total stride of 1 instead of 2.
    """
    convs = [layer for layer in network.patch_embed.proj.modules() if isinstance(layer, nn.Conv2d)]
    strides = [2**power for power in range(len(convs) + 1)]
    if stride not in strides:
        raise ValueError(f"a stem of {len(convs)} convolutions has a stride of {strides}, not {stride}")
    for conv in convs[: len(convs) - int(math.log2(stride))]:
        conv.stride = (1, 1)
    network.patch_embed.patch_size = stride
    network.patch_embed.num_patches = math.prod(side // stride for side in network.patch_embed.img_size)
    return network


def cifar_stem(network: nn.Module) -> nn.Module:
    """Give a ResNet a 3x3 first convolution of stride 1 and no pooling, as He et al. 2016, section 4.2, have it."""
    old = network.conv1
    network.conv1 = nn.Conv2d(old.in_channels, old.out_channels, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
