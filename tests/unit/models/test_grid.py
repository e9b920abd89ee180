"""The networks of Klabunde et al. 2025: their penultimate vectors, and checkpoints of MadryLab's networks for CIFAR."""

import types

import pytest
import torch
import torchvision
from torch import nn

from mettle import models
from mettle.models import published
from mettle.stages import train

CIFAR = [[0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]]
IMAGENET = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
WIDTHS = {
    "resnet18": 512,
    "resnet50": 2048,
    "wide_resnet50_2": 2048,
    "wide_resnet50_4": 2048,
    "densenet161": 2208,
    "resnext50_32x4d": 2048,
    "vgg16_bn": 4096,
    "tiny_vit_5m": 320,
    "resnet18_32": 512,
    "resnet50_32": 2048,
    "densenet161_32": 2208,
    "vgg16_32": 512,
}


@pytest.mark.parametrize("arch", WIDTHS)
def test_the_penultimate_vector_of_every_network_of_the_study(arch):
    # At 32 pixels, as on CIFAR-10; test_classifier has the ImageNet networks at 224.
    model = models.create(arch, 10, 32, *CIFAR, seed=0).eval()
    with torch.inference_mode():
        logits, features = model.both(torch.rand(2, 3, 32, 32))
        assert logits.shape == (2, 10) and features.shape == (2, WIDTHS[arch])
        torch.testing.assert_close(model.last(features), logits, rtol=0, atol=1e-5)
    assert features.std(0).max() > 0, "features do not depend on the image"


# MadryLab's networks for CIFAR, written here as its checkpoints name them


class Block(nn.Module):
    """A residual block of two 3x3 convolutions, or of a bottleneck of four times as many channels outside."""

    def __init__(self, width_in, width, stride, factor):
        super().__init__()
        sizes = [(3, stride), (3, 1)] if factor == 1 else [(1, 1), (3, stride), (1, 1)]
        self.convs, last = len(sizes), width_in
        for place, (size, step) in enumerate(sizes, start=1):
            after = width * factor if place == len(sizes) else width
            setattr(self, f"conv{place}", nn.Conv2d(last, after, size, step, size // 2, bias=False))
            setattr(self, f"bn{place}", nn.BatchNorm2d(after))
            last = after
        self.shortcut = nn.Sequential()
        if stride > 1 or width_in != last:
            self.shortcut = nn.Sequential(nn.Conv2d(width_in, last, 1, stride, bias=False), nn.BatchNorm2d(last))

    def forward(self, x):
        y = x
        for place in range(1, self.convs + 1):
            y = getattr(self, f"bn{place}")(getattr(self, f"conv{place}")(y))
            y = torch.relu(y) if place < self.convs else torch.relu(y + self.shortcut(x))
        return y


class ResNet(nn.Module):
    def __init__(self, depths, factor):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        width = 64
        for stage, depth in enumerate(depths):
            blocks = []
            for place in range(depth):
                blocks.append(Block(width, 64 << stage, 2 if stage and not place else 1, factor))
                width = (64 << stage) * factor
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(width, 10)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return self.linear(nn.functional.avg_pool2d(y, 4).flatten(1))


class Dense(nn.Module):
    def __init__(self, width, growth):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(width), nn.Conv2d(width, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        new = self.conv2(torch.relu(self.bn2(self.conv1(torch.relu(self.bn1(x))))))
        return torch.cat([new, x], 1)


class Halved(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(width), nn.Conv2d(width, width // 2, 1, bias=False)

    def forward(self, x):
        return nn.functional.avg_pool2d(self.conv(torch.relu(self.bn(x))), 2)


class DenseNet(nn.Module):
    def __init__(self, depths, growth):
        super().__init__()
        width = 2 * growth
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        for block, depth in enumerate(depths, start=1):
            setattr(self, f"dense{block}", nn.Sequential(*(Dense(width + i * growth, growth) for i in range(depth))))
            width += depth * growth
            if block < len(depths):
                setattr(self, f"trans{block}", Halved(width))
                width //= 2
        self.bn, self.linear = nn.BatchNorm2d(width), nn.Linear(width, 10)

    def forward(self, x):
        y = self.trans1(self.dense1(self.conv1(x)))
        y = self.dense4(self.trans3(self.dense3(self.trans2(self.dense2(y)))))
        return self.linear(nn.functional.avg_pool2d(torch.relu(self.bn(y)), 4).flatten(1))


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        layers, width = [], 3
        for after in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
            if after:
                layers += [nn.Conv2d(width, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
                width = after
            else:
                layers.append(nn.MaxPool2d(2))
        self.features, self.classifier = nn.Sequential(*layers, nn.AvgPool2d(1)), nn.Linear(512, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


THEIRS = {
    "resnet18_32": lambda: ResNet([2, 2, 2, 2], 1),
    "resnet50_32": lambda: ResNet([3, 4, 6, 3], 4),
    "densenet161_32": lambda: DenseNet([6, 12, 36, 24], 48),
    "vgg16_32": Vgg,
    "resnext50_32x4d": lambda: torchvision.models.resnext50_32x4d(num_classes=10),
}


def trained(network):
    """Biases, scales and statistics of normalisation that are not those of a new network."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
        network.train()(torch.rand(4, 3, 32, 32))
    return network.eval()


def checkpoint(path, network, statistics):
    """What MadryLab's library saves, but for the second copy of the weights."""
    state = {f"module.model.{key}": value for key, value in network.state_dict().items()}
    for key, value in zip(("mean", "std"), statistics, strict=True):
        state[f"module.normalizer.new_{key}"] = torch.tensor(value).view(3, 1, 1)
    torch.save({"model": state, "epoch": 90, "optimizer": {}, "schedule": None, "amp": None}, path)
    return path


@pytest.mark.parametrize("arch", THEIRS)
def test_a_checkpoint_for_cifar_answers_as_its_network(tmp_path, arch):
    torch.manual_seed(0)
    network = trained(THEIRS[arch]())
    statistics = IMAGENET if arch == "resnext50_32x4d" else CIFAR
    row = {"model": f"{arch}-r-s0", "dataset": "cifar10", "arch": arch, "recipe": "r", "classes": 10, "threat": "l2"}
    row |= {"eps": 1.0, "seed": 0, "source": str(checkpoint(tmp_path / "c.pt", network, statistics)), "format": "madry"}
    recipe = {"input": {"size": 32, "resize": None, "interpolation": "bilinear", "mean": CIFAR[0], "std": CIFAR[1]}}
    job = types.SimpleNamespace(provenance={}, say=lambda text: None)
    train.convert(row, recipe | {"epochs": 90}, tmp_path / "w.safetensors", job)
    model, about = models.load(tmp_path / "w.safetensors")
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in statistics)
    x = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        logits, features = model.both(x)
        wanted = network((x - mean) / std)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert logits.std(0).max() > 0.01 and features.shape == (3, model.last.in_features)
    assert [about["mean"], about["std"]] == [pytest.approx(value) for value in statistics], "the checkpoint's"


def test_a_classifier_of_that_name_in_another_network_stays(tmp_path):
    network = torchvision.models.DenseNet(8, (1, 1), 8, num_classes=10)
    found = published.read(checkpoint(tmp_path / "c.pt", network, IMAGENET), network, "madry")
    assert "classifier.weight" in found.state and set(found.state) == set(network.state_dict())
