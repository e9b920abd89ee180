"""The one interface to every network: last(features) == logits, normalisation inside, seeds and modes left alone."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from mettle import models
from mettle.models import Classifier, create, frozen

MEAN, STD = [0.3, 0.5, 0.6], [0.2, 0.25, 0.3]
TIMM = ("resnet18", "densenet121", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto", "mixer_s32_224")
OWN = [name for name in models.ARCHITECTURES if name not in ("vgg16_bn", "wide_resnet50_4")]  # those take seconds


def made(arch, seed=1, classes=7):
    return create(arch, classes, 32, MEAN, STD, seed)


def images(n=3, seed=0):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


class Network(nn.Module):
    """Flattens, then runs its one linear layer a given number of times."""

    def __init__(self, times=1):
        super().__init__()
        self.times = times
        self.fc = nn.Linear(3 * 32 * 32, 4)

    def forward(self, x):
        return sum(self.fc(x.flatten(1)) for _ in range(self.times)) if self.times else x.new_zeros(len(x), 4)


class Fully(nn.Module):
    """Ends in a 1x1 convolution after pooling."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.head = nn.Conv2d(5, 4, 1)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3), keepdim=True)).flatten(1)


@pytest.mark.parametrize("arch", [*OWN, *TIMM])
def test_last_of_features_is_logits(arch):
    model, x = made(arch).eval(), images()
    with torch.inference_mode():
        logits, features = model.both(x)
        assert logits.shape == (3, 7)
        assert features.shape == (3, model.last.in_features)
        torch.testing.assert_close(model.last(features), logits, rtol=0, atol=1e-6)
        assert torch.equal(model(x), logits)
    assert features.std(0).max() > 0, "features do not depend on the image"
    assert not model.last._forward_pre_hooks


def test_a_convolution_may_be_the_last_layer():
    model = Classifier(Fully(), MEAN, STD).eval()
    with torch.inference_mode():
        logits, features = model.both(images())
        assert features.shape == (3, 5)
        torch.testing.assert_close(model.last(features[:, :, None, None]).flatten(1), logits)


def test_several_heads_are_refused():
    with pytest.raises(ValueError, match=r"^VisionTransformerDistilled does not end in one linear layer but in tuple$"):
        made("deit_tiny_distilled_patch16_224").both(images())


@pytest.mark.parametrize("times", [0, 2])
def test_a_last_layer_that_runs_not_once_is_refused(times):
    model = Classifier(Network(times), MEAN, STD)
    with pytest.raises(ValueError, match=rf"^the last layer of Network ran {times} times in one pass, not once$"):
        model.both(images())
    assert not model.last._forward_pre_hooks


def test_both_takes_its_hook_away_when_the_network_fails():
    model = Classifier(Network(), MEAN, STD)
    with pytest.raises(RuntimeError):
        model.both(torch.rand(1, 3, 5, 5))
    assert not model.last._forward_pre_hooks


@pytest.mark.parametrize("arch", ["resnet8", "xcit_mini", "convnext_atto"])
def test_normalisation_is_inside(arch):
    model, x = made(arch).eval(), images()
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    with torch.inference_mode():
        assert torch.equal(model(x), model.network((x - mean) / std))
        assert not torch.allclose(model(x), model.network(x))


def test_mean_and_std_are_part_of_the_state_but_not_trained():
    model = made("resnet8")
    assert {"mean", "std"} <= set(model.state_dict())
    assert not {"mean", "std"} & {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("arch", ["resnet8", "densenet10", "xcit_mini", "resnet18", "vit_tiny_patch16_224"])
def test_create_depends_on_the_seed_alone(arch):
    torch.manual_seed(3)
    first = made(arch, seed=5).state_dict()
    torch.manual_seed(4)
    np.random.seed(4)
    random.seed(4)
    torch.rand(10)
    second, other = made(arch, seed=5).state_dict(), made(arch, seed=6).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("arch", ["resnet8", "resnet18", "xcit_mini"])
def test_create_leaves_the_global_generators_alone(arch):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    made(arch, seed=5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize("fails", [False, True])
def test_frozen_restores_every_mode_and_flag(fails):
    model = made("resnet8").train()
    model.network.stages[1].eval()
    model.network.fc.weight.requires_grad_(False)
    modes = {name: module.training for name, module in model.named_modules()}
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert set(modes.values()) == set(flags.values()) == {True, False}
    try:
        with frozen(model):
            assert not any(module.training for module in model.modules())
            assert not any(parameter.requires_grad for parameter in model.parameters())
            if fails:
                raise KeyError("inside")
    except KeyError:
        assert fails
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == flags


def test_frozen_leaves_statistics_alone_and_lets_gradients_reach_images():
    model, x = made("resnet8").train(), images().requires_grad_()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with frozen(model):
        model(x).sum().backward()
    assert x.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("name", "meant"), [("resnet_8", "resnet8"), ("densenet_10", "densenet10"), ("vgg1", "vgg1")])
def test_an_unknown_architecture_is_met_with_a_suggestion(name, meant):
    with pytest.raises(ValueError, match=rf"^unknown architecture '{name}': did you mean '{meant}\w*'\?$"):
        models.build(name, 10, 32)


def test_an_architecture_like_no_other_is_named():
    with pytest.raises(ValueError, match=r"^unknown architecture 'qqqq'$"):
        models.build("qqqq", 10, 32)


def test_an_architecture_names_its_family_and_paper():
    for name, architecture in models.ARCHITECTURES.items():
        assert architecture.family, name
        assert "arXiv:" in architecture.reference, name


# Width of the penultimate vector and millions of parameters, as published: He et al. 2016, Zagoruyko & Komodakis 2016,
# Huang et al. 2017, Xie et al. 2017, Simonyan & Zisserman 2015, Wu et al. 2022; Salman et al. 2020 for wide_resnet50_4.
PAPER = {
    "resnet18": (512, 11.7),
    "resnet50": (2048, 25.6),
    "wide_resnet50_2": (2048, 68.9),
    "wide_resnet50_4": (2048, 223.4),
    "densenet161": (2208, 28.7),
    "resnext50_32x4d": (2048, 25.0),
    "vgg16_bn": (4096, 138.4),
    "tiny_vit_5m": (320, 5.4),
}


@pytest.mark.parametrize("arch", PAPER)
def test_the_eight_networks_of_figure_5_at_paper_scale(arch):
    width, millions = PAPER[arch]
    with torch.device("meta"):  # shapes only: no memory, no time
        model = models.create(arch, 1000, 224, [0.5] * 3, [0.25] * 3, seed=0).eval()
        logits, features = model.both(torch.rand(2, 3, 224, 224))
    assert logits.shape == (2, 1000) and features.shape == (2, width)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "wide_resnet50_2", "densenet161", "resnext50_32x4d"])
def test_published_weights_of_torchvision_names_fit(arch):
    import torchvision

    with torch.device("meta"):
        ours, theirs = models.build(arch, 1000, 224), getattr(torchvision.models, arch)(weights=None)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
