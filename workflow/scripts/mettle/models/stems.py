"""Changes of the first layers: stems for 224 pixels take 32, networks for grey images take three channels."""

import math

from torch import Tensor, nn


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


def grey(network: nn.Module) -> nn.Module:
    """Let a network for one channel take images of three, by their mean; its weights keep their names and shapes.

    Images here have three channels, equal ones where they are grey. Under attack they need not be equal: the mean of
    three changes of at most eps is one of at most eps, so that Linf balls are those of one channel; an L2 ball is that
    of one channel with radius eps / sqrt(3).

    Parameters
    ----------
    network : takes (n, 1, h, w); changed in place
    """
    network.register_forward_pre_hook(_mean_of_channels)
    return network


def _mean_of_channels(network: nn.Module, args: tuple[Tensor]) -> Tensor:
    return args[0].mean(1, keepdim=True)
