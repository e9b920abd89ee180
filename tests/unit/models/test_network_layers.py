"""Layers of networks: which are found, what is kept of them, and the last beside the penultimate vector."""

import pytest
import torch
from torch import nn

from mettle import models
from mettle.models import layers, tokens
from mettle.models.activations import along, largest, names

NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}


def network(arch, size=32, classes=10):
    return models.create(arch, classes, size, **NORM, seed=0).eval()


def images(n=3, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def pooled(model, found, x, how="mean"):
    with torch.no_grad(), layers.watched(model.network, found, layers.pooling(model.network, how)) as kept:
        model(x)
    return kept


FOUND = {
    "resnet8": ["stem.2", "stages.0", "stages.1", "stages.2"],
    "wrn10_1": ["stem", "stages.0", "stages.1", "norm"],
    "vgg5": ["features.3", "features.6", "features.10", "features.14"],
    "densenet10": [f"features.{number}" for number in (0, 1, 4, 6, 7, 10, 12, 13, 16)],
    "vit_mini": ["norm_pre", *(f"blocks.{number}" for number in range(5)), "head_drop"],
    "xcit_mini": ["pos_drop", "blocks.0", "blocks.1", "blocks.2", "head_drop"],
    "resnet10t_half": ["conv1.2", "conv1.5", "maxpool", "layer1.0", "layer2.0", "layer3.0", "global_pool"],
}


@pytest.mark.parametrize("arch", FOUND)
def test_every_part_of_a_network_is_a_layer_but_for_its_head(arch):
    assert layers.find(network(arch)) == FOUND[arch]


@pytest.mark.parametrize("arch", ["resnet8", "vgg5", "densenet10", "vit_mini", "resnet10t_half"])
def test_the_last_layer_is_the_penultimate_vector(arch):
    # Not of wrn10_1, which has a ReLU that is no module behind it.
    model, x = network(arch), images()
    found = layers.find(model)
    with torch.no_grad():
        _, features = model.both(x)
    torch.testing.assert_close(pooled(model, found, x)[found[-1]], features, rtol=1e-5, atol=1e-6)


def test_outputs_are_those_of_the_modules_before_whatever_follows_changes_them_in_place():
    model, x = network("vgg5"), images()
    kept = pooled(model, ["features.0", "features.1"], x)  # a ReLU behind them works in place
    with torch.no_grad():
        y = model.network.features[0]((x - model.mean) / model.std)
        torch.testing.assert_close(kept["features.0"], y.mean((2, 3)), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(kept["features.1"], model.network.features[1](y).mean((2, 3)), rtol=1e-5, atol=1e-6)
    assert not model.network.features[0]._forward_hooks, "hooks are taken off again"


def test_pooling_is_the_mean_over_positions_or_the_class_token():
    vit, resnet = network("vit_mini").network, network("resnet8").network
    sequence, maps = torch.randn(2, 17, 128), torch.randn(2, 8, 4, 5)
    mean, first = (layers.pooling(vit, how) for how in ("mean", "class_token"))
    torch.testing.assert_close(mean(sequence), sequence.mean(1))
    assert torch.equal(first(sequence), sequence[:, 0]) and torch.equal(first(maps[..., 0, 0]), maps[..., 0, 0])
    for how in ("mean", "class_token"):
        torch.testing.assert_close(layers.pooling(resnet, how)(maps), maps.mean((2, 3)))
    vit.output_fmt = "NHWC"
    torch.testing.assert_close(layers.pooling(vit, "mean")(maps), maps.mean((1, 2)))


def test_sums_are_in_float64():
    large = torch.full((1, 1, 1000, 1000), 0.1)
    found = layers.pooling(nn.Identity(), "mean")(large)
    assert found.item() == pytest.approx(float(torch.tensor(0.1)), rel=1e-7)


def test_a_layer_that_the_network_does_not_have_is_refused_with_those_that_it_has():
    model = network("resnet8")
    with pytest.raises(ValueError, match=r"^here: CifarResNet has no layer 'stages\.9': did you mean 'stages\.\d'\?$"):
        layers.check(model, ["stem", "stages.9"], "here")
    with pytest.raises(
        ValueError, match=r"has no layer 'qqq'; its parts are stem\.0, stem\.1, stem\.2, stages\.0, .*fc$"
    ):
        layers.check(model, ["qqq"], "here")
    layers.check(model, ["stem", "stages.1.conv1"], "here")


class Odd(nn.Module):
    """Runs one part twice, and has one that puts out two tensors."""

    def __init__(self):
        super().__init__()
        self.twice, self.pair, self.never = nn.Conv2d(3, 3, 1), Pair(), nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(3, 10)

    def forward(self, x):
        return self.fc(self.pair(self.twice(self.twice(x)))[0].mean((2, 3)))


class Pair(nn.Module):
    """Two tensors."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x), x


def test_parts_that_run_twice_or_give_no_tensor_are_no_layers():
    model = models.Classifier(Odd(), **NORM, size=8).eval()
    with pytest.raises(
        ValueError, match=r"^Odd has no parts before its head: name its modules under represent\.layers$"
    ):
        layers.find(model)
    for name, text in {
        "twice": "runs 2 times in a pass",
        "never": "runs 0 times",
        "pair": "puts out no row per",
    }.items():
        with pytest.raises(ValueError, match=rf"layer '{name}' of Odd {text}.*: name a module around it or inside it$"):
            layers.check(model, [name], "here")
    layers.check(model, ["pair.conv"], "here")


def test_of_a_network_without_a_head_the_last_layer_gives_its_output():
    model, x = network("vit_mini", classes=0), images()
    found = layers.find(model, headless=True)
    with torch.no_grad():
        torch.testing.assert_close(pooled(model, found, x)[found[-1]], model(x))


# Tokens


@pytest.mark.parametrize("position", ["end", "registers"])
def test_robustness_tokens_are_in_no_layer(position):
    model, x = network("vit_mini"), images()
    plain = pooled(model, ["norm_pre", "blocks.0"], x)
    tokens.attach(model.network, torch.randn(1, 5, 128), position)
    kept = pooled(model, layers.find(model), x)
    assert [*kept] == FOUND["vit_mini"]
    assert torch.equal(kept["norm_pre"], plain["norm_pre"]) and not torch.equal(kept["blocks.0"], plain["blocks.0"])
    shapes = {}
    with torch.no_grad(), layers.watched(model.network, ["blocks.3"], lambda y: shapes.update(y=y.shape)):
        model(x)
    assert shapes["y"] == (3, 17, 128)


def slowly(model, x):
    """Largest activations by a walk through the blocks, of class token and all patches."""
    net, found = model.network, []
    y = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed((x - model.mean) / model.std))))
    for block in [None, *net.blocks]:
        y = block(y) if block else y
        kept = torch.cat([y[:, :1], y[:, net.num_prefix_tokens :]], dim=1).double()
        found.append(torch.stack([image.abs().max() for image in kept]))
    return found


@pytest.mark.parametrize(("arch", "size"), [("vit_mini", 32), ("dinov2_vits14_reg", 28)])
def test_activations_are_those_of_class_token_and_all_patches_without_registers(arch, size):
    model, x = network(arch, size, 0), images(2, size)
    with torch.no_grad():
        found, expected = along(model, x, largest), slowly(model, x)
        assert [*found] == names(model.network) == ["input", *(f"blocks.{n}" for n in range(len(model.network.blocks)))]
        for one, other in zip(found.values(), expected, strict=True):
            torch.testing.assert_close(one.double(), other)
        sizes = along(model, x, lambda kept: torch.tensor(kept.shape[1]))
    patches = (size // model.network.patch_embed.patch_size[0]) ** 2
    assert {int(size) for size in sizes.values()} == {1 + patches}


@pytest.mark.parametrize("position", ["end", "registers"])
def test_with_robustness_tokens_every_patch_counts_and_no_token_does(position):
    model, x = network("vit_mini"), images(2)
    with torch.no_grad():
        plain = along(model, x, largest)
        tokens.attach(model.network, torch.full((1, 10, 128), 1e4), position)
        found = along(model, x, largest)
        whole = along(model, x, lambda kept: torch.tensor(kept.shape[1]))
        with tokens.without(model.network):
            again = along(model, x, largest)
    assert torch.equal(found["input"], plain["input"]), "tokens enter after what is measured"
    assert {int(n) for n in whole.values()} == {17}
    assert all(torch.equal(again[name], plain[name]) for name in plain)
    assert max(float(value.max()) for value in found.values()) < 1e4


def test_a_network_that_is_no_vision_transformer_has_no_such_activations():
    with pytest.raises(ValueError, match="is no vision transformer of timm"):
        along(network("resnet8"), images(), largest)
