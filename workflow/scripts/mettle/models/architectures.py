"""
Architectures by name: ours for 32x32 images, torchvision's where published weights have its names, else timm's, or the
user's own.

Both libraries take seconds to import, so only the networks that need them do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from mettle import schema
from mettle.files import in_file
from mettle.models import own
from mettle.models.small import (
    CifarResNet,
    DenseNet,
    DenseNetBC,
    PreactResNet,
    SwishResNet,
    SwishWideResNet,
    UnnormedResNet,
    Vgg,
    WideResNet,
)
from mettle.models.stems import cifar_stem, restride
from mettle.units import sides, size_text

Build = Callable[..., nn.Module]

# Options by which networks that are bound to a size take any; the first that a network knows is its own.
_ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}


@dataclass(frozen=True)
class Architecture:
    """How to build a network.

    Attributes
    ----------
    build : (classes, size) to a module that maps normalised images (n, 3, size, size) to logits (n, classes); where
        the network has drop path, also with the keyword `drop_path_rate`; where it is timm's, with the others of
        `timm.create_model`, such as `features_only`
    family : what kind of network it is
    reference : paper
    """

    build: Build
    family: str
    reference: str


def _xcit(classes: int, size: int, **options: Any) -> nn.Module:
    from timm.models.xcit import Xcit

    shape = {"embed_dim": 64, "depth": 3, "cls_attn_layers": 1, "num_heads": 4, "mlp_ratio": 2, "eta": 1.0}
    return Xcit(img_size=size, patch_size=8, num_classes=classes, **shape, **options)


def _hybrid(classes: int, size: int | Sequence[int], **options: Any) -> nn.Module:
    """A vision transformer on the feature maps of a small ResNet at stride 8, which learns from few images."""
    import timm
    from timm.layers import HybridEmbed
    from timm.models.vision_transformer import VisionTransformer

    stem = {"stem_width": 16, "channels": (32, 64, 128, 256), "features_only": True, "out_indices": [2]}
    embed = partial(HybridEmbed, backbone=timm.create_model("resnet10t", **stem))
    shape = {"patch_size": 1, "embed_dim": 128, "depth": 3, "num_heads": 4}
    return VisionTransformer(img_size=size, num_classes=classes, embed_layer=embed, **shape, **options)


def _torchvision(name: str, **options: int) -> Build:
    def build(classes: int, size: int) -> nn.Module:
        from torchvision import models

        return getattr(models, name)(weights=None, num_classes=classes, **options)

    return build


def _timm(name: str, change: Callable[[nn.Module], nn.Module] = lambda network: network, **fixed: Any) -> Build:
    """A timm model with some of its options fixed, and a change made to it after."""

    def build(classes: int, size: int, **options: Any) -> nn.Module:
        import timm

        if not timm.is_model(name):
            known = [*ARCHITECTURES, *timm.list_models()]
            raise ValueError(f"unknown architecture '{name}'{schema.suggest(name, known)}")
        options |= fixed | {"num_classes": classes}
        try:
            network = timm.create_model(name, img_size=size, **options)
            _check_patches(network, name, size)
            return change(network)
        except AssertionError as error:
            raise ValueError(f"architecture '{name}' takes no images of {size_text(size)} pixels: {error}") from error
        except TypeError as error:  # convolutional networks take any size and have no img_size
            if "img_size" not in str(error):
                raise
            return change(timm.create_model(name, **options))

    return build


def _check_patches(network: nn.Module, name: str, size: int | tuple[int, int]) -> None:
    """Raise ValueError if a network cuts images into patches that leave a border out, which timm does silently.

    At the size of their published weights all networks are taken: SigLIP's of patch 14 see 378 of 384 pixels.
    """
    from timm.layers import PatchEmbed

    embed = next((module for module in network.modules() if isinstance(module, PatchEmbed)), None)
    published = (getattr(network, "pretrained_cfg", None) or {}).get("input_size", ())[1:]
    if embed is None or embed.dynamic_img_pad or sides(size) == tuple(published):
        return
    if any(side % patch for side, patch in zip(sides(size), embed.patch_size, strict=True)):
        raise ValueError(
            f"architecture '{name}' would not see the border of images of {size_text(size)} pixels: set size to "
            f"multiples of its patches of {size_text(embed.patch_size)}"
        )


def _xcit_32(stride: int, **width: int) -> Build:
    return _timm("xcit_small_12_p16_224", partial(restride, stride=stride), **width)


def _dinov2(kind: str, registers: bool = False) -> Build:
    def build(classes: int, size: int | tuple[int, int], **options: Any) -> nn.Module:
        from mettle.models import dinov2

        return dinov2.create(kind, classes, size, registers=registers, **options)

    return build


def _wrn(blocks: int, factor: int) -> Build:
    return lambda classes, size: WideResNet(classes, blocks, factor)


def _swish_wrn(blocks: int, factor: int) -> Build:
    return lambda classes, size: SwishWideResNet(classes, blocks, factor)


def _preact(kind: type[nn.Module]) -> Build:
    return lambda classes, size: kind(classes, 64, [64, 128, 256, 512], blocks=2)


_HE = "He et al. 2016, arXiv:1512.03385"
_PREACT = "He et al. 2016, arXiv:1603.05027"
_HUANG = "Huang et al. 2017, arXiv:1608.06993"
_SIMONYAN = "Simonyan & Zisserman 2015, arXiv:1409.1556"
_ZAGORUYKO = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"
_NOUBY = "El-Nouby et al. 2021, arXiv:2106.09681"
_LIGHT = "Debenedetti et al. 2023, arXiv:2209.07399"
_OQUAB = "Oquab et al. 2023, arXiv:2304.07193"
_DARCET = "Darcet et al. 2023, arXiv:2309.16588"
_GOWAL = "Gowal et al. 2020, arXiv:2010.03593"
_BAI = "Bai et al. 2021, arXiv:2111.05464"
# Width of XCiT-M and -L; timm has -S of depth 12 only.
_M, _L = {"embed_dim": 512}, {"embed_dim": 768, "num_heads": 16}
# Widths of VGG-16 by stage.
_VGG16 = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]

ARCHITECTURES = {
    # For 32x32 images and a CPU: seconds to train, hence the stride of 2 at the start.
    "resnet8": Architecture(lambda classes, size: CifarResNet(classes, blocks=1, stride=2), "ResNet", _HE),
    "wrn10_1": Architecture(
        lambda classes, size: WideResNet(classes, 1, factor=1, stride=2), "wide ResNet", _ZAGORUYKO
    ),
    "vgg5": Architecture(lambda classes, size: Vgg(classes, [[32], [64, 64], [128]], stride=2), "VGG", _SIMONYAN),
    "densenet10": Architecture(lambda classes, size: DenseNet(classes, 2, growth=16, stride=2), "DenseNet", _HUANG),
    "xcit_mini": Architecture(_xcit, "XCiT", _NOUBY),
    # For 96x96 images and a CPU: half the channels of timm's network in every layer, and its feature maps.
    "resnet10t_half": Architecture(
        _timm("resnet10t", stem_width=16, channels=(32, 64, 128, 256)), "ResNet", "He et al. 2019, arXiv:1812.01187"
    ),
    "vit_mini": Architecture(
        _timm("vit_tiny_patch16_224", patch_size=8, embed_dim=128, depth=6, num_heads=4),
        "ViT",
        "Dosovitskiy et al. 2021, arXiv:2010.11929",
    ),
    "vit_mini_hybrid": Architecture(_hybrid, "ViT", "Dosovitskiy et al. 2021, arXiv:2010.11929"),
    # Those of Klabunde et al. 2025 that timm does not have under the names of the published weights.
    "wide_resnet50_4": Architecture(_torchvision("resnet50", width_per_group=256), "wide ResNet", _ZAGORUYKO),
    "vgg16_bn": Architecture(_torchvision("vgg16_bn"), "VGG", _SIMONYAN),
    "tiny_vit_5m": Architecture(_timm("tiny_vit_5m_224"), "TinyViT", "Wu et al. 2022, arXiv:2207.10666"),
    # Its networks for CIFAR-10: those of MadryLab's `cifar_models`, kept at 32x32; resnet50_32 is below.
    "resnet18_32": Architecture(_timm("resnet18", cifar_stem), "ResNet", _HE),
    "densenet161_32": Architecture(
        lambda classes, size: DenseNetBC(classes, [6, 12, 36, 24], growth=48), "DenseNet", _HUANG
    ),
    "vgg16_32": Architecture(lambda classes, size: Vgg(classes, _VGG16, bias=True), "VGG", _SIMONYAN),
    # Those of Debenedetti et al. 2023 that timm does not have; XCiT-S, XCiT-N, ConvNeXt-T and DeiT are timm's.
    "xcit_medium_12_p16_224": Architecture(_timm("xcit_small_12_p16_224", **_M), "XCiT", _NOUBY),
    "xcit_large_12_p16_224": Architecture(_timm("xcit_small_12_p16_224", **_L), "XCiT", _NOUBY),
    "xcit_large_12_h8_p16_224": Architecture(_timm("xcit_small_12_p16_224", embed_dim=768), "XCiT", _NOUBY),
    "xcit_small_12_p8_32": Architecture(_xcit_32(8), "XCiT", _LIGHT),
    "xcit_small_12_p4_32": Architecture(_xcit_32(4), "XCiT", _LIGHT),
    "xcit_small_12_p2_32": Architecture(_xcit_32(2), "XCiT", _LIGHT),
    "xcit_medium_12_p8_32": Architecture(_xcit_32(8, **_M), "XCiT", _LIGHT),
    "xcit_medium_12_p4_32": Architecture(_xcit_32(4, **_M), "XCiT", _LIGHT),
    "xcit_medium_12_p2_32": Architecture(_xcit_32(2, **_M), "XCiT", _LIGHT),
    "xcit_large_12_p8_32": Architecture(_xcit_32(8, **_L), "XCiT", _LIGHT),
    "xcit_large_12_p4_32": Architecture(_xcit_32(4, **_L), "XCiT", _LIGHT),
    "xcit_large_12_p2_32": Architecture(_xcit_32(2, **_L), "XCiT", _LIGHT),
    "cait_s12_224": Architecture(
        _timm("cait_s24_224", depth=12, init_values=1.0), "CaiT", "Touvron et al. 2021, arXiv:2103.17239"
    ),
    "resnet18_gelu": Architecture(_timm("resnet18", act_layer="gelu"), "ResNet", _BAI),
    "resnet50_gelu": Architecture(_timm("resnet50", act_layer="gelu"), "ResNet", _BAI),
    "resnet152_gelu": Architecture(_timm("resnet152", act_layer="gelu"), "ResNet", _BAI),
    "resnet50_32": Architecture(_timm("resnet50", cifar_stem), "ResNet", _HE),
    # Third stage of 36 blocks but second of 4, as the network that the paper compares with has it.
    "resnext152_32x8d": Architecture(
        _timm("resnext101_32x8d", layers=(3, 4, 36, 3), act_layer="silu"),
        "ResNeXt",
        "Xie et al. 2020, arXiv:2006.14536",
    ),
    "wide_resnet28_10": Architecture(_wrn(4, 10), "wide ResNet", _ZAGORUYKO),
    "wide_resnet34_10": Architecture(_wrn(5, 10), "wide ResNet", _ZAGORUYKO),
    "wide_resnet34_15": Architecture(_wrn(5, 15), "wide ResNet", _ZAGORUYKO),
    "wide_resnet34_20": Architecture(_wrn(5, 20), "wide ResNet", _ZAGORUYKO),
    "wide_resnet40_2": Architecture(_wrn(6, 2), "wide ResNet", _ZAGORUYKO),
    "wide_resnet70_16": Architecture(_wrn(11, 16), "wide ResNet", _ZAGORUYKO),
    "wide_resnet106_16": Architecture(_wrn(17, 16), "wide ResNet", _ZAGORUYKO),
    "wide_resnet28_10_silu": Architecture(_swish_wrn(4, 10), "wide ResNet", _GOWAL),
    "wide_resnet34_10_silu": Architecture(_swish_wrn(5, 10), "wide ResNet", _GOWAL),
    "wide_resnet34_20_silu": Architecture(_swish_wrn(5, 20), "wide ResNet", _GOWAL),
    "wide_resnet70_16_silu": Architecture(_swish_wrn(11, 16), "wide ResNet", _GOWAL),
    "wide_resnet82_8_silu": Architecture(_swish_wrn(13, 8), "wide ResNet", _GOWAL),
    "wide_resnet94_16_silu": Architecture(_swish_wrn(15, 16), "wide ResNet", _GOWAL),
    "wide_resnet106_16_silu": Architecture(_swish_wrn(17, 16), "wide ResNet", _GOWAL),
    "preact_resnet_18": Architecture(_preact(PreactResNet), "pre-activation ResNet", _PREACT),
    "preact_resnet_18_unnormed": Architecture(_preact(UnnormedResNet), "pre-activation ResNet", _PREACT),
    "preact_resnet_18_silu": Architecture(_preact(SwishResNet), "pre-activation ResNet", _GOWAL),
    # Frozen backbones: timm's weights, with the authors' position embeddings.
    **{f"dinov2_vit{kind}14": Architecture(_dinov2(kind), "ViT", _OQUAB) for kind in "sblg"},
    **{f"dinov2_vit{kind}14_reg": Architecture(_dinov2(kind, registers=True), "ViT", _DARCET) for kind in "sblg"},
}
schema.check_registry("models.arch", ARCHITECTURES)


def build(
    name: str,
    classes: int,
    size: int | tuple[int, int],
    drop_path: float = 0.0,
    code: own.Digests | None = None,
    **options: Any,
) -> nn.Module:
    """A network with random weights.

    Parameters
    ----------
    name : key of `ARCHITECTURES`, any timm model, or a class or function of a file of the user's, `net.py:MyNet`
    classes : number of logits; networks of timm take 0 for none
    size : of the input in pixels, side of a square or (height, width); networks that are bound to a size are built
        for it
    drop_path : probability in [0, 1) to skip a residual branch of an image in training, Huang et al. 2016
        (arXiv:1603.09382); the network decides how it grows with depth
    code : SHA-256 of the files of the user's that it is built from, by path: that of `name`, or plugins that register
        it. They are run if they have it. None runs the file of `name`, whatever it holds
    options : others that the network's own function takes

    Raises
    ------
    TypeError
        If it takes no such option.
    ValueError
        If nobody knows the name, the network knows no drop path, or a file of the user's is not there, has changed or
        fails.
    """
    make = _maker(name, code)
    if not drop_path:
        return make(classes, size, **options)
    try:
        return make(classes, size, drop_path_rate=drop_path, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise ValueError(f"architecture '{name}' has no drop path: drop_path must be 0, got {drop_path:g}") from error


def build_any_size(
    name: str,
    classes: int,
    size: int | Sequence[int],
    drop_path: float = 0.0,
    code: own.Digests | None = None,
) -> nn.Module:
    """The network of `build`, with the same weights, that takes images of any size if it can."""
    bound = size if isinstance(size, int) else tuple(size)
    for key, value in _ANY_SIZE.items():
        try:
            return build(name, classes, bound, drop_path, code, **{key: value})
        except TypeError as error:
            if key not in str(error):
                raise
    return build(name, classes, bound, drop_path, code)


def _maker(name: str, code: own.Digests | None) -> Build:
    path, _ = in_file(name)
    if not path:
        own.register(code or {}, _registered)
        return ARCHITECTURES[name].build if name in ARCHITECTURES else _timm(name)
    if code is not None and path not in code:
        raise ValueError(f"no SHA-256 of {path} is stated, so it is not run: make the weights of '{name}' again")
    return partial(own.build, name, digest=code and code[path])


def _registered() -> dict[str, Any]:
    import timm

    return ARCHITECTURES | {name: timm.model_entrypoint(name) for name in timm.list_models()}
