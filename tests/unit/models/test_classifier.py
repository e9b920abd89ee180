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
OWN = ("resnet8", "wrn10_1", "vgg5", "densenet10", "xcit_mini", "resnet10t_half", "tiny_vit_5m", "resnet18_gelu")
OWN += ("preact_resnet_18", "vit_mini", "vit_mini_hybrid")
TWO_HEADS = ("deit_tiny_distilled_patch16_224", "levit_128s", "efficientformerv2_s0", "pit_ti_distilled_224")


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
        return sum(self.fc(x.flatten(1)) for _ in range(self.times))


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


def test_a_network_of_half_width_has_half_the_channels_of_each_layer_and_feature_maps():
    half, full = (models.build(arch, 7, 96) for arch in ("resnet10t_half", "resnet10t"))
    for (name, part), (other, whole) in zip(half.named_modules(), full.named_modules(), strict=True):
        assert name == other
        if isinstance(whole, nn.Conv2d) and name != "conv1.0":  # timm makes that one 3/4 of the stem's width
            assert 2 * part.out_channels == whole.out_channels and part.stride == whole.stride
    maps = models.ARCHITECTURES["resnet10t_half"].build(7, 96, features_only=True)
    assert maps.feature_info.channels() == [32, 32, 64, 128, 256]
    assert maps.feature_info.reduction() == [2, 4, 8, 16, 32]
    assert [found.shape[2] for found in maps(torch.rand(1, 3, 96, 96))] == [48, 24, 12, 6, 3]


def test_a_convolution_may_be_the_last_layer():
    model = Classifier(Fully(), MEAN, STD, 32).eval()
    with torch.inference_mode():
        logits, features = model.both(images())
        assert features.shape == (3, 5)
        torch.testing.assert_close(model.last(features[:, :, None, None]).flatten(1), logits)


@pytest.mark.parametrize("arch", TWO_HEADS)
def test_last_of_features_is_the_mean_of_two_heads(arch):
    model, x = create(arch, 7, 64, MEAN, STD, 1).eval(), torch.rand(3, 3, 64, 64)
    assert len(model.heads) == 2
    with torch.inference_mode():
        for head in model.heads:  # fresh biases are 0, and so are the weights of some heads
            head.weight.normal_()
            head.bias.normal_()
        logits, features = model.both(x)
        assert features.shape == (3, sum(head.in_features for head in model.heads))
        torch.testing.assert_close(model.last(features), logits, rtol=1e-5, atol=1e-5)
        assert torch.equal(model(x), logits)
        first = features[:, : model.heads[0].in_features]
        assert not torch.allclose(model.heads[0](first), logits), "both heads are the same, so this tests nothing"
    assert not any(head._forward_pre_hooks for head in model.heads)


def test_a_last_layer_that_runs_twice_is_refused():
    model = Classifier(Network(2), MEAN, STD, 32)
    with pytest.raises(ValueError, match=r"^the last layer of Network ran 2 times in one pass, not once$"):
        model.both(images())
    assert not model.last._forward_pre_hooks


def test_both_takes_its_hook_away_when_the_network_fails():
    model = Classifier(Network(), MEAN, STD, 32)
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


def test_a_network_of_patches_is_built_at_the_size_of_its_published_weights():
    with torch.device("meta"):
        assert models.build("vit_so400m_patch14_siglip_384", 10, 384).patch_embed.grid_size == (27, 27)


def test_a_network_of_patches_sees_every_pixel_of_a_rectangle():
    network = models.build("vit_tiny_patch16_224", 10, (32, 48)).eval()
    x = torch.rand(1, 3, 32, 48, requires_grad=True)
    network(x).square().sum().backward()
    assert (x.grad != 0).any(1).all()


@pytest.mark.parametrize(
    ("arch", "size", "message"),
    [
        (
            "vit_tiny_patch16_224",
            (24, 40),
            "would not see the border of images of 24x40 pixels: set size to multiples of ",
        ),
        (
            "mixer_s32_224",
            48,
            "would not see the border of images of 48x48 pixels: set size to multiples of its patches ",
        ),
        ("xcit_nano_12_p16_224", 24, "takes no images of 24x24 pixels: "),
    ],
)
def test_a_size_that_patches_do_not_divide_is_refused(arch, size, message):
    with pytest.raises(ValueError, match=f"^architecture '{arch}' {message}"):
        models.build(arch, 10, size)


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


@pytest.mark.parametrize("arch", ["xcit_mini", "resnet18_gelu", "convnext_atto", "vit_tiny_patch16_224"])
def test_drop_path_reaches_the_network(arch):
    x = images(16)
    model = create(arch, 7, 32, MEAN, STD, 1, drop_path=0.5)
    with torch.no_grad():
        for parameter in model.parameters():  # the last normalisation of a fresh residual branch has weight 0
            parameter.add_(0.1)
        torch.manual_seed(0)
        for module in model.modules():  # their batch statistics would differ by themselves
            module.train(not isinstance(module, nn.BatchNorm2d))
        assert not torch.equal(model(x), model(x))
        assert torch.equal(model.eval()(x), model(x))
    same = create(arch, 7, 32, MEAN, STD, 1).state_dict()
    assert all(
        torch.equal(value, same[key]) for key, value in create(arch, 7, 32, MEAN, STD, 1, 0.5).state_dict().items()
    )


@pytest.mark.parametrize("arch", ["resnet8", "vgg16_bn", "densenet121", "preact_resnet_18"])
def test_drop_path_is_refused_by_networks_without(arch):
    with pytest.raises(ValueError, match=rf"^architecture '{arch}' has no drop path: drop_path must be 0, got 0\.05$"):
        models.build(arch, 10, 32, drop_path=0.05)


# Width of the penultimate vector and millions of parameters, as published: He et al. 2016, Zagoruyko & Komodakis 2016,
# Huang et al. 2017, Xie et al. 2017, Simonyan & Zisserman 2015, Wu et al. 2022; Salman et al. 2020 for wide_resnet50_4;
# El-Nouby et al. 2021, Touvron et al. 2021, Liu et al. 2022, and RobustBench for the wide ResNets of 10 classes; of
# DINOv2 the authors' files, with a head of 1000 classes.
PAPER = {
    "resnet18": (512, 11.7),
    "resnet50": (2048, 25.6),
    "wide_resnet50_2": (2048, 68.9),
    "wide_resnet50_4": (2048, 223.4),
    "densenet161": (2208, 28.7),
    "resnext50_32x4d": (2048, 25.0),
    "vgg16_bn": (4096, 138.4),
    "tiny_vit_5m": (320, 5.4),
    "xcit_nano_12_p16_224": (128, 3.05),
    "xcit_small_12_p16_224": (384, 26.25),
    "xcit_medium_12_p16_224": (512, 46.40),
    "xcit_large_12_p16_224": (768, 103.79),
    "xcit_large_12_h8_p16_224": (768, 103.79),
    "cait_s12_224": (384, 25.61),
    "resnet18_gelu": (512, 11.69),
    "resnet50_gelu": (2048, 25.56),
    "resnet152_gelu": (2048, 60.19),
    "resnext152_32x8d": (2048, 119.97),
    "convnext_tiny": (768, 28.59),
    "deit_small_patch16_224": (384, 22.05),
    "dinov2_vits14": (384, 22.44),
    "dinov2_vitb14": (768, 87.35),
    "dinov2_vitl14": (1024, 305.39),
    "dinov2_vitg14": (1536, 1138.02),
    "dinov2_vits14_reg": (384, 22.44),
    "dinov2_vitb14_reg": (768, 87.35),
    "dinov2_vitl14_reg": (1024, 305.40),
    "dinov2_vitg14_reg": (1536, 1138.02),
}
CIFAR = {
    "xcit_small_12_p8_32": (384, 25.87),
    "xcit_small_12_p4_32": (384, 25.87),
    "xcit_small_12_p2_32": (384, 25.87),
    "xcit_medium_12_p8_32": (512, 45.89),
    "xcit_medium_12_p4_32": (512, 45.89),
    "xcit_medium_12_p2_32": (512, 45.89),
    "xcit_large_12_p8_32": (768, 103.03),
    "xcit_large_12_p4_32": (768, 103.03),
    "xcit_large_12_p2_32": (768, 103.03),
    "resnet18_32": (512, 11.17),
    "resnet50_32": (2048, 23.52),
    "densenet161_32": (2208, 26.48),
    "vgg16_32": (512, 14.73),
    "wide_resnet28_10": (640, 36.48),
    "wide_resnet34_10": (640, 46.16),
    "wide_resnet34_15": (960, 103.82),
    "wide_resnet34_20": (1280, 184.53),
    "wide_resnet70_16": (1024, 266.80),
    "wide_resnet106_16": (1024, 415.48),
    "wide_resnet28_10_silu": (640, 36.48),
    "wide_resnet34_10_silu": (640, 46.16),
    "wide_resnet34_20_silu": (1280, 184.53),
    "wide_resnet70_16_silu": (1024, 266.80),
    "wide_resnet82_8_silu": (512, 79.13),
    "wide_resnet94_16_silu": (1024, 365.92),
    "wide_resnet106_16_silu": (1024, 415.48),
    "wide_resnet40_2": (128, 2.24),
    "preact_resnet_18": (512, 11.17),
    "preact_resnet_18_unnormed": (512, 11.17),
    "preact_resnet_18_silu": (512, 12.56),
}


@pytest.mark.parametrize("arch", [*PAPER, *CIFAR])
def test_networks_at_paper_scale(arch):
    (width, millions), classes, size = (PAPER[arch], 1000, 224) if arch in PAPER else (CIFAR[arch], 10, 32)
    with torch.device("meta"):  # shapes only: no memory, no time
        model = models.create(arch, classes, size, [0.5] * 3, [0.25] * 3, seed=0).eval()
        logits, features = model.both(torch.rand(2, 3, size, size))
    assert logits.shape == (2, classes) and features.shape == (2, width)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_every_architecture_is_tested():
    assert {*models.ARCHITECTURES} <= {*OWN, *PAPER, *CIFAR}


def test_gelu_is_everywhere_in_a_gelu_resnet():
    with torch.device("meta"):
        kinds = {type(module).__name__ for module in models.build("resnet50_gelu", 10, 32).modules()}
        smooth = {type(module).__name__ for module in models.build("resnext152_32x8d", 10, 32).modules()}
    assert "GELU" in kinds and not {"ReLU", "SiLU"} & kinds
    assert "SiLU" in smooth and not {"ReLU", "GELU"} & smooth


def test_heads_of_the_large_xcit():
    with torch.device("meta"):
        heads = [models.build(f"xcit_large_12_{name}p16_224", 10, 32).blocks[0].attn.num_heads for name in ("", "h8_")]
    assert heads == [16, 8]


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "wide_resnet50_2", "densenet161", "resnext50_32x4d"])
def test_published_weights_of_torchvision_names_fit(arch):
    import torchvision

    with torch.device("meta"):
        ours, theirs = models.build(arch, 1000, 224), getattr(torchvision.models, arch)(weights=None)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes


@pytest.mark.parametrize("arch", ["resnet8", "vit_tiny_patch16_224"])
def test_a_network_is_built_for_a_rectangular_input(arch):
    model = models.create(arch, 3, [32, 48], [0.5] * 3, [0.5] * 3, seed=0)
    model.check(arch, 3)
    assert model.size == (32, 48) and model(torch.rand(2, 3, 32, 48)).shape == (2, 3)
