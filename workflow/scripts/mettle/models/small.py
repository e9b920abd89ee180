"""
Convolutional networks for 32x32 images: ResNet, wide ResNet, VGG, DenseNet. All end in one linear layer.

Most have a first convolution with a stride, 1 as in the papers or 2 for a quarter of the work.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, He et al. 2016 (arXiv:1512.03385), fig. 2."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity()
        if stride != 1 or width_in != width:
            conv = nn.Conv2d(width_in, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.shortcut(x)).relu()


class PreactBlock(nn.Module):
    """Normalisation and ReLU before each convolution, Zagoruyko & Komodakis 2016 (arXiv:1605.07146), fig. 1 d."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        changes = stride != 1 or width_in != width
        self.shortcut = nn.Conv2d(width_in, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        y = self.bn1(x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.conv2(self.bn2(self.conv1(y)).relu())


class RawBlock(PreactBlock):
    """The same with a shortcut from before the first normalisation, as in github.com/kuangliu/pytorch-cifar."""

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return shortcut + self.conv2(self.bn2(self.conv1(self.bn1(x).relu())).relu())


class SwishBlock(PreactBlock):
    """The same with SiLU, and with strided convolutions that pad at the end alone, as TensorFlow does.

    Gowal et al. 2020 (arXiv:2010.03593).
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(width_in, width, stride)
        if stride == 2:
            self.conv1.padding = (0, 0)
            self.conv1.register_forward_pre_hook(_padded_at_the_end)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        y = F.silu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.conv2(F.silu(self.bn2(self.conv1(y))))


class WideSwishBlock(SwishBlock):
    """The same with a 3x3 convolution as shortcut, from before the first normalisation, as in its authors' code."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(width_in, width, stride)
        if self.shortcut is not None:
            padding = 0 if stride == 2 else 1
            self.shortcut = nn.Conv2d(width_in, width, 3, stride, padding, bias=False)
            if stride == 2:
                self.shortcut.register_forward_pre_hook(_padded_at_the_end)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to feature maps."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return shortcut + self.conv2(F.silu(self.bn2(self.conv1(F.silu(self.bn1(x))))))


def _padded_at_the_end(conv: nn.Module, args: tuple[Tensor]) -> Tensor:
    return F.pad(args[0], (0, 1, 0, 1))


class CifarResNet(nn.Module):
    """Three stages of residual blocks, 6 n + 2 layers, He et al. 2016, section 4.2."""

    def __init__(self, classes: int, blocks: int, widths: Sequence[int] = (16, 32, 64), stride: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(3, widths[0], 3, stride, 1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        self.stages = _stages(ResidualBlock, widths[0], widths, blocks)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 32, 32) to logits (n, classes)."""
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))


class PreactResNet(nn.Module):
    """Pre-activation residual network with a last normalisation, He et al. 2016 (arXiv:1603.05027)."""

    block: type[nn.Module] = PreactBlock
    act = staticmethod(F.relu)

    def __init__(self, classes: int, width: int, widths: Sequence[int], blocks: int, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride, 1, bias=False)
        self.stages = _stages(self.block, width, widths, blocks)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 32, 32) to logits (n, classes)."""
        return self.fc(self.act(self.norm(self.stages(self.stem(x)))).mean((2, 3)))


class UnnormedResNet(PreactResNet):
    """The same without normalisation and ReLU before the last layer, as in github.com/kuangliu/pytorch-cifar."""

    block = RawBlock

    def __init__(self, classes: int, width: int, widths: Sequence[int], blocks: int, stride: int = 1) -> None:
        super().__init__(classes, width, widths, blocks, stride)
        del self.norm

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 32, 32) to logits (n, classes)."""
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))


class SwishResNet(PreactResNet):
    """Pre-activation residual network of Gowal et al. 2020 (arXiv:2010.03593), with SiLU in place of ReLU."""

    block = WideSwishBlock
    act = staticmethod(F.silu)


class WideResNet(PreactResNet):
    """Three stages, each `factor` times as wide, 6 n + 4 layers, Zagoruyko & Komodakis 2016 (arXiv:1605.07146)."""

    def __init__(self, classes: int, blocks: int, factor: int, stride: int = 1) -> None:
        super().__init__(classes, 16, [16 * factor, 32 * factor, 64 * factor], blocks, stride)


class SwishWideResNet(WideResNet):
    """Wide residual network of Gowal et al. 2020 (arXiv:2010.03593), with SiLU in place of ReLU."""

    block = SwishBlock
    act = staticmethod(F.silu)


class Vgg(nn.Module):
    """Plain 3x3 convolutions with max pooling between stages, Simonyan & Zisserman 2015 (arXiv:1409.1556).

    The normalisation cancels a bias of the convolutions; there is one for weights that have it.
    """

    def __init__(self, classes: int, stages: Sequence[Sequence[int]], stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width_in = 3
        for stage in stages:
            for width in stage:
                conv = nn.Conv2d(width_in, width, 3, 1 if layers else stride, 1, bias=bias)
                layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                width_in = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(width_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 32, 32) to logits (n, classes)."""
        return self.fc(self.features(x).mean((2, 3)))


class DenseLayer(nn.Module):
    """One 3x3 convolution whose output is appended to its input, Huang et al. 2017 (arXiv:1608.06993)."""

    def __init__(self, width_in: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width_in)
        self.conv = nn.Conv2d(width_in, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to more feature maps."""
        return torch.cat([x, self.conv(self.norm(x).relu())], dim=1)


class DenseNet(nn.Module):
    """Three dense blocks with halving transitions, Huang et al. 2017, section 3, without bottlenecks."""

    def __init__(self, classes: int, layers: int, growth: int, stride: int = 1) -> None:
        super().__init__()
        width = 2 * growth
        parts: list[nn.Module] = [nn.Conv2d(3, width, 3, stride, 1, bias=False)]
        for block in range(3):
            for _ in range(layers):
                parts.append(DenseLayer(width, growth))
                width += growth
            if block < 2:
                parts += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width // 2, 1, bias=False)]
                parts.append(nn.AvgPool2d(2))
                width //= 2
        self.features = nn.Sequential(*parts, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 32, 32) to logits (n, classes)."""
        return self.fc(self.features(x).mean((2, 3)))


class BottleneckLayer(nn.Module):
    """A 1x1 and a 3x3 convolution whose output is put before its input, Huang et al. 2017, section 3."""

    def __init__(self, width_in: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps to more feature maps."""
        y = self.conv1(self.bn1(x).relu())
        return torch.cat([self.conv2(self.bn2(y).relu()), x], dim=1)


class DenseNetBC(nn.Sequential):
    """Dense blocks of bottlenecks with halving transitions, Huang et al. 2017, section 3.

    Layers have the names of MadryLab's `cifar_models`, and new channels come before the old ones as there, so that
    its weights fit.
    """

    def __init__(self, classes: int, blocks: Sequence[int], growth: int) -> None:
        width = 2 * growth
        parts: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, width, 3, 1, 1, bias=False)}
        for block, layers in enumerate(blocks, start=1):
            if block > 1:
                parts[f"trans{block - 1}"] = _transition(width)
                width //= 2
            dense = [BottleneckLayer(width + layer * growth, growth) for layer in range(layers)]
            parts[f"dense{block}"] = nn.Sequential(*dense)
            width += layers * growth
        parts |= {"bn": nn.BatchNorm2d(width), "relu": nn.ReLU(inplace=True)}
        parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(width, classes)}
        super().__init__(OrderedDict(parts))


def _transition(width: int) -> nn.Sequential:
    """Half as many channels, half as many pixels a side."""
    conv = nn.Conv2d(width, width // 2, 1, bias=False)
    return nn.Sequential(
        OrderedDict(bn=nn.BatchNorm2d(width), relu=nn.ReLU(inplace=True), conv=conv, pool=nn.AvgPool2d(2))
    )


def _stages(block: type[nn.Module], width_in: int, widths: Sequence[int], blocks: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage, width in enumerate(widths):
        for position in range(blocks):
            stride = 2 if stage and not position else 1
            layers.append(block(width_in, width, stride))
            width_in = width
    return nn.Sequential(*layers)
