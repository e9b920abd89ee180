"""Stems for 32 pixels: tokens, strides, maps, and weights that go on fitting; networks for grey images."""

import copy

import pytest
import timm
import torch
from timm.models.xcit import Xcit
from torch import nn

from mettle import models
from mettle.models import Classifier, Folded, Policy, folded
from mettle.models.stems import cifar_stem, grey, restride


def xcit(classes=4):
    torch.manual_seed(0)
    return Xcit(img_size=32, embed_dim=32, depth=1, cls_attn_layers=1, num_heads=2, num_classes=classes).eval()


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", [32, 48])
def test_the_total_stride_is_exact(stride, size):
    network = restride(xcit(), stride)
    tokens, grid = network.patch_embed(torch.rand(1, 3, size, size))
    assert grid == (size // stride, size // stride) and tokens.shape == (1, (size // stride) ** 2, 32)
    assert network.patch_embed.num_patches == (32 // stride) ** 2 and network.patch_embed.patch_size == stride
    assert network(torch.rand(2, 3, size, size)).shape == (2, 4)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_tokens_move_with_the_image(stride):
    stem, x = restride(xcit(), stride).patch_embed, torch.rand(1, 3, 96, 96)
    side = 96 // stride

    def tokens(image):
        return stem(image)[0].reshape(side, side, -1)

    inner = slice(32 // stride, 64 // stride)  # the border sees zeros
    moved = tokens(x.roll((stride, stride), (2, 3)))[inner, inner]
    torch.testing.assert_close(moved, tokens(x).roll((1, 1), (0, 1))[inner, inner])
    assert not torch.allclose(moved, tokens(x)[inner, inner])


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_weights_fit_whatever_the_stride(stride):
    other = restride(xcit(), stride)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(xcit().state_dict())
    x = torch.rand(2, 3, 64, 64)
    assert not torch.allclose(other(x), xcit()(x))


@pytest.mark.parametrize("stride", [0, 3, 6, 32])
def test_another_stride_is_refused(stride):
    with pytest.raises(
        ValueError, match=rf"^a stem of 4 convolutions has a stride of \[1, 2, 4, 8, 16\], not {stride}$"
    ):
        restride(xcit(), stride)


@pytest.mark.parametrize("arch", [f"xcit_{size}_12_p{patch}_32" for size in ("small", "large") for patch in (8, 4, 2)])
def test_tokens_of_the_registered_names(arch):
    stride = int(arch.split("_p")[1].removesuffix("_32"))
    with torch.device("meta"):
        network = models.build(arch, 10, 32)
        tokens, grid = network.patch_embed(torch.rand(1, 3, 32, 32))
    assert grid == (32 // stride, 32 // stride) and tokens.shape[1] == (32 // stride) ** 2


def test_a_restrided_network_answers_with_gradients():
    model = models.create("xcit_small_12_p4_32", 10, 32, [0.5] * 3, [0.25] * 3, seed=0).eval()
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    logits, features = model.both(x)
    torch.testing.assert_close(model.last(features), logits)
    logits.square().sum().backward()
    assert x.grad.abs().flatten(1).max(1)[0].min() > 0


def test_the_cifar_stem_keeps_the_resolution():
    with torch.device("meta"):
        network = models.build("resnet50_32", 10, 32)
        plain = models.build("resnet50", 10, 32)
        assert network.forward_features(torch.rand(1, 3, 32, 32)).shape == (1, 2048, 4, 4)
    assert isinstance(network.maxpool, nn.Identity)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    differ = [key for key, value in plain.state_dict().items() if shapes[key] != value.shape]
    assert differ == ["conv1.weight"] and shapes["conv1.weight"] == (64, 3, 3, 3)


def test_the_cifar_stem_is_initialised_as_the_rest():
    import timm

    conv = cifar_stem(timm.create_model("resnet18")).conv1
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)


def one_channel():
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(conv, nn.Flatten(), nn.Linear(4 * 30 * 30, 5)).eval()


@pytest.mark.parametrize(
    "build", [one_channel, lambda: timm.create_model("resnet10t", in_chans=1, num_classes=5).eval()]
)
def test_a_network_for_grey_images_takes_three_equal_channels(build):
    known = build()
    found = grey(copy.deepcopy(known))
    assert list(found.state_dict()) == list(known.state_dict())
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found(x.expand(2, 3, 32, 32)), known(x), rtol=1e-4, atol=1e-5)


def test_a_grey_network_is_a_classifier_like_any_other():
    model = Classifier(grey(one_channel()), [0.5] * 3, [0.25] * 3, 32)
    model.check("here", 5)
    assert isinstance(folded(model, torch.rand(1, 3, 32, 32)), Folded)
    placed = Policy(torch.device("cpu")).suited(copy.deepcopy(model)).place(copy.deepcopy(model))
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    torch.testing.assert_close(placed(x), model(x), rtol=1e-4, atol=1e-5)
    gradient = torch.autograd.grad(model(x).square().sum(), x)[0]
    torch.testing.assert_close(gradient, gradient[:, :1].expand_as(gradient), rtol=1e-4, atol=1e-6)
