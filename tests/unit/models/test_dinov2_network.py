"""DINOv2's networks beside the authors' code, as tests/golden/dinov2.parquet records it, and as networks of timm."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from mettle import models
from mettle.models import Classifier, dinov2, dinov2_names, features, weights
from mettle.models.dinov2 import Dinov2

TABLE = pd.read_parquet(Path(__file__).parents[2] / "golden" / "dinov2.parquet")
NETWORK, SIZE = ["ffn", "registers", "antialias"], ["height", "width"]
SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
GATED = {key: dinov2.SHAPES["g"][key] for key in ("mlp_layer", "act_layer", "mlp_ratio")}
KINDS = [f"dinov2_vit{kind}14{end}" for kind in "sblg" for end in ("", "_reg")]
# Of the authors' files, with `mask_token`.
PARAMETERS = {"s": 22_056_576, "b": 86_580_480, "l": 304_368_640, "g": 1_136_480_768}
WIDTH_TENSORS = {"s": (384, 175), "b": (768, 175), "l": (1024, 343), "g": (1536, 567)}


def small(registers=0, antialias=False, ffn="mlp", **options):
    torch.manual_seed(0)
    gated = GATED if ffn == "swiglu" else {}
    return Dinov2(antialias=antialias, reg_tokens=registers, **SMALL | {"num_classes": 0} | gated | options).eval()


def of_authors(network):
    """The state that the recorded numbers are of, under the authors' names; see tests/golden/README.md."""
    rng, found = np.random.default_rng(0), {}
    for name, entry in sorted(dinov2_names.to_authors(network.state_dict()).items()):
        drawn = rng.standard_normal(entry.shape, dtype=np.float32) * np.float32(0.1 if "." in name else 1)
        scales = name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma"))
        found[name] = torch.from_numpy(drawn + np.float32(scales))
    return found


def filled(network, state):
    weights.fill(network, dinov2_names.to_timm(state), "here")
    return network


def drawn(height, width):
    return torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, height, width), dtype=np.float32))


@torch.no_grad()
def outputs(network, images):
    """What the table has, by output: (tokens, d)."""
    found, registers = network.forward_features(images)[0], network.num_prefix_tokens - 1
    tokens = features.tokens(network, images)[0]
    ((first, maps),) = features.intermediate(network, images, [0], norm=False)
    return {
        "class": tokens[:1],
        "register": found[1 : 1 + registers],
        "patch": tokens[1:],
        "mean of patches": tokens[1:].mean(0, keepdim=True),
        "first block: class": first,
        "first block: patch": maps[0].flatten(1).T,
    }


@pytest.mark.parametrize(("shape", "rows"), [*TABLE.groupby(NETWORK + SIZE)])
def test_outputs_are_those_of_the_authors_code(shape, rows):
    ffn, registers, antialias, height, width = shape
    network = small(registers, antialias, ffn)
    images = drawn(height, width)
    found = outputs(filled(network, of_authors(network)), images)
    assert set(rows["output"]) == {name for name, tokens in found.items() if len(tokens)}
    for row in rows.itertuples():
        expected = torch.tensor(row.values)
        torch.testing.assert_close(found[row.output][row.index], expected, rtol=0, atol=1e-5)
    if (height, width) != (518, 518):  # where the two interpolations are one
        network.antialias = not antialias
        assert (outputs(network, images)["patch"] - found["patch"]).abs().max() > 0.1


def test_all_kinds_of_networks_and_sizes_are_recorded():
    kinds = {("mlp", 0, False), ("mlp", 4, True), ("mlp", 10, False), ("swiglu", 0, False), ("swiglu", 4, True)}
    assert {*TABLE[NETWORK].itertuples(index=False, name=None)} == kinds
    assert len(TABLE.groupby(NETWORK + SIZE)) == 3 * len(kinds)
    assert {*TABLE[SIZE].itertuples(index=False, name=None)} == {(224, 224), (518, 518), (280, 392)}


@pytest.mark.parametrize(("registers", "antialias"), [(0, False), (4, True), (10, False)])
def test_positions_of_a_constant_are_constant_and_those_of_training_stay(registers, antialias):
    network = small(registers, antialias)
    trained = network.pos_embed[:, -37 * 37 :]
    assert torch.equal(network.positions(37, 37), trained)
    with torch.no_grad():
        network.pos_embed.fill_(0.7)
    for height, width in ((1, 1), (16, 16), (20, 28), (37, 36), (50, 40)):
        found = network.positions(height, width)
        assert found.shape == (1, height * width, 48)
        torch.testing.assert_close(found, torch.full_like(found, 0.7))


@pytest.mark.parametrize("antialias", [False, True])
def test_height_and_width_change_places_with_the_grid(antialias):
    network = small(0, antialias)
    upright = network.positions(20, 28).unflatten(1, (20, 28))
    with torch.no_grad():
        network.pos_embed[:, 1:] = network.pos_embed[:, 1:].unflatten(1, (37, 37)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(network.positions(28, 20).unflatten(1, (28, 20)).transpose(1, 2), upright)


@pytest.mark.parametrize(("registers", "antialias"), [(0, False), (4, True)])
@torch.no_grad()
def test_positions_are_added_in_float32_under_autocast_and_in_half_precision_to_a_network_of_it(registers, antialias):
    network, images = small(registers, antialias), drawn(28, 42)
    exact = network.positions(2, 3)
    assert exact.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        patches = network.patch_embed(images)
        assert patches.dtype == torch.bfloat16
        found = network._pos_embed(patches)[:, network.num_prefix_tokens :]
        assert torch.equal(found, patches.float().flatten(1, 2) + exact)
    network.bfloat16()
    assert network.positions(2, 3).dtype == torch.bfloat16
    assert network(images.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("name", KINDS)
def test_sizes_are_those_of_the_authors_files_and_names_are_those_of_timm(name):
    kind, registers = name[len("dinov2_vit")], 4 * name.endswith("_reg")
    theirs = f"vit_{['small', 'base', 'large', 'giant']['sblg'.index(kind)]}_patch14_{'reg4_' * bool(registers)}dinov2"
    with torch.device("meta"):  # shapes only: no memory, no time
        network = models.build(name, 0, (224, 280))
        expected = timm.create_model(theirs, num_classes=0).state_dict()
    width, tensors = WIDTH_TENSORS[kind]
    state = dinov2_names.to_authors(network.state_dict())
    assert sum(value.numel() for value in state.values()) == PARAMETERS[kind] + registers * width
    assert len(state) == tensors + bool(registers)
    assert state["pos_embed"].shape == (1, 1370, width) and state["mask_token"].shape == (1, width)
    assert ("blocks.0.mlp.w12.weight" in state) == (kind == "g")
    own = network.state_dict()
    assert {key: value.shape for key, value in own.items()} == {key: value.shape for key, value in expected.items()}
    assert network.antialias == bool(registers)


@pytest.mark.parametrize("registers", [0, 4])
@torch.no_grad()
def test_at_the_size_of_training_it_is_the_network_of_timm(registers):
    ours = small(registers, antialias=bool(registers))
    fixed = {"img_size": 518, "patch_size": 14, "init_values": 1.0, "num_classes": 0}
    fixed |= {"reg_tokens": registers, "no_embed_class": registers > 0}
    theirs = timm.models.VisionTransformer(**SMALL, **fixed).eval()
    theirs.load_state_dict(ours.state_dict())
    images = drawn(518, 518)
    assert torch.equal(ours(images), theirs(images))


def test_it_has_the_interface_of_timm():
    network = small(4, True, num_classes=7)
    assert network.num_prefix_tokens == 5 and network.reg_token.shape == (1, 4, 48)
    assert [stage["reduction"] for stage in network.feature_info] == [14, 14]
    images = drawn(28, 42)
    final, (maps,) = network.forward_intermediates(images, [1], norm=True)
    assert maps.shape == (1, 48, 2, 3)
    assert torch.equal(network.forward_features(images), final)
    assert torch.equal(final[:, 5:], maps.flatten(2).mT)
    assert torch.equal(network(images), network.head(final[:, 0]))
    network.reset_classifier(0)
    assert torch.equal(network(images), final[:, 0])


@pytest.mark.parametrize("registers", [False, True])
def test_it_is_a_classifier_with_a_head_on_the_class_token(registers):
    network = dinov2.create("s", 5, (28, 42), registers=registers, **SMALL)
    model = Classifier(network, [0.4] * 3, [0.25] * 3, (28, 42))
    model.check("here", 5)
    images = torch.rand(2, 3, 28, 42, requires_grad=True)
    logits, vectors = model.both(images)
    assert logits.shape == (2, 5) and vectors.shape == (2, 48)
    logits.square().sum().backward()
    assert (images.grad != 0).any(1).all(), "every pixel is seen"


def test_drop_path_and_another_number_of_registers_reach_it():
    network = dinov2.create("s", 0, 28, reg_tokens=10, drop_path_rate=0.5, **SMALL)
    assert network.reg_token.shape == (1, 10, 48) and not network.antialias
    network.train()
    torch.manual_seed(0)
    images = drawn(28, 28)
    assert not torch.equal(network(images), network(images))


REFUSED = "DINOv2 takes images whose sides are multiples of 14 pixels, not {}: set size to one, such as 224 or 518"


@pytest.mark.parametrize(("size", "shown"), [(256, "256x256"), ((224, 230), "224x230"), (7, "7x7"), (0, "0x0")])
def test_a_size_that_patches_do_not_divide_is_refused(size, shown):
    with pytest.raises(ValueError, match=f"^{REFUSED.format(shown)}$"):
        models.build("dinov2_vits14", 0, size)


def test_images_that_patches_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=f"^{REFUSED.format('28x30')}$"):
        small()(drawn(28, 30))


def test_an_option_that_nobody_knows_is_no_silent_one():
    with pytest.raises(TypeError, match="dynamic_img_size"):
        models.build("dinov2_vits14", 0, 28, dynamic_img_size=False)
