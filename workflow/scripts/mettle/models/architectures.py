"""
Architectures by name: ours for 32x32 images, torchvision's where published weights have its names, else timm's.

Both libraries take seconds to import, so only the networks that need them do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from mettle import schema
from mettle.models.small import CifarResNet, DenseNet, Vgg, WideResNet


@dataclass(frozen=True)
class Architecture:
    """How to build a network.

    Attributes
    ----------
    build : (classes, size) to a module that maps normalised images (n, 3, size, size) to logits (n, classes)
    family : what kind of network it is
    reference : paper
    """

    build: Callable[[int, int], nn.Module]
    family: str
    reference: str


def _xcit(classes: int, size: int) -> nn.Module:
    from timm.models.xcit import Xcit

    shape = {"embed_dim": 64, "depth": 3, "cls_attn_layers": 1, "num_heads": 4, "mlp_ratio": 2, "eta": 1.0}
    return Xcit(img_size=size, patch_size=8, num_classes=classes, **shape)


def _torchvision(name: str, **options: int) -> Callable[[int, int], nn.Module]:
    def build(classes: int, size: int) -> nn.Module:
        from torchvision import models

        return getattr(models, name)(weights=None, num_classes=classes, **options)

    return build


def _timm(name: str, classes: int, size: int) -> nn.Module:
    import timm

    if not timm.is_model(name):
        known = [*ARCHITECTURES, *timm.list_models()]
        raise ValueError(f"unknown architecture '{name}'{schema.suggest(name, known)}")
    try:
        return timm.create_model(name, num_classes=classes, img_size=size)
    except TypeError as error:  # convolutional networks take any size and know no img_size
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, num_classes=classes)


_HE = "He et al. 2016, arXiv:1512.03385"
_HUANG = "Huang et al. 2017, arXiv:1608.06993"
_SIMONYAN = "Simonyan & Zisserman 2015, arXiv:1409.1556"
_ZAGORUYKO = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"

ARCHITECTURES = {
    # For 32x32 images and a CPU: seconds to train, hence the stride of 2 at the start.
    "resnet8": Architecture(lambda classes, size: CifarResNet(classes, blocks=1, stride=2), "ResNet", _HE),
    "wrn10_1": Architecture(
        lambda classes, size: WideResNet(classes, 1, factor=1, stride=2), "wide ResNet", _ZAGORUYKO
    ),
    "vgg5": Architecture(lambda classes, size: Vgg(classes, [[32], [64, 64], [128]], stride=2), "VGG", _SIMONYAN),
    "densenet10": Architecture(lambda classes, size: DenseNet(classes, 2, growth=16, stride=2), "DenseNet", _HUANG),
    "xcit_mini": Architecture(_xcit, "XCiT", "El-Nouby et al. 2021, arXiv:2106.09681"),
    # Those of Klabunde et al. 2025 that timm does not have under the names of the published weights.
    "wide_resnet50_4": Architecture(_torchvision("resnet50", width_per_group=256), "wide ResNet", _ZAGORUYKO),
    "vgg16_bn": Architecture(_torchvision("vgg16_bn"), "VGG", _SIMONYAN),
    "tiny_vit_5m": Architecture(
        lambda classes, size: _timm("tiny_vit_5m_224", classes, size), "TinyViT", "Wu et al. 2022, arXiv:2207.10666"
    ),
}


def build(name: str, classes: int, size: int) -> nn.Module:
    """A network with random weights.

    Parameters
    ----------
    name : key of `ARCHITECTURES`, or any timm model
    classes : number of logits
    size : side of the square input in pixels; networks that are bound to an input size are built for it

    Raises
    ------
    ValueError
        If neither knows the name.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name].build(classes, size)
    return _timm(name, classes, size)
