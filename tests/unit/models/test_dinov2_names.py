"""States of DINOv2 between the authors' names and timm's: the same outputs, and nothing lost without a word."""

import pytest
import timm
import torch
from test_dinov2_network import drawn, filled, of_authors, small
from timm.models.vision_transformer import checkpoint_filter_fn

from mettle.models import dinov2_names, published, weights

SHAPES = [("mlp", 0), ("mlp", 4), ("mlp", 10), ("swiglu", 0), ("swiglu", 4)]
shapes = pytest.mark.parametrize(("ffn", "registers"), SHAPES)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def saved(path, whole):
    torch.save(whole, path)
    return path


def read(path, network, form="dinov2"):
    """A file's weights into a network, all of them."""
    found = published.read(path, network, form)
    weights.fill(network, found.state, path)
    return found


@shapes
def test_states_go_there_and_back(ffn, registers):
    network = small(registers, registers == 4, ffn)
    ours = network.state_dict()
    theirs = of_authors(network)
    assert equal(dinov2_names.to_timm(dinov2_names.to_authors(ours)), ours)
    back = dinov2_names.to_authors(dinov2_names.to_timm(theirs))
    changed = {"mask_token", *(["cls_token", "pos_embed"] if registers else [])}
    assert back.keys() == theirs.keys() and not back["mask_token"].any()
    assert {name for name, value in theirs.items() if not torch.equal(back[name], value)} == changed
    assert all(back[name].shape == value.shape for name, value in theirs.items())
    first = [state["cls_token"] + state["pos_embed"][:, :1] for state in (back, theirs)]
    assert torch.equal(*first) and torch.equal(back["pos_embed"][:, 1:], theirs["pos_embed"][:, 1:])


@shapes
@torch.no_grad()
def test_outputs_are_equal_after_a_round_trip(ffn, registers):
    network, images = small(registers, registers == 4, ffn), drawn(56, 42)
    before = filled(network, of_authors(network)).forward_features(images)
    again = small(registers, registers == 4, ffn)
    after = filled(again, dinov2_names.to_authors(network.state_dict())).forward_features(images)
    assert torch.equal(before, after)


@shapes
@pytest.mark.parametrize("form", ["", "dinov2"])
def test_a_file_of_the_authors_is_read_as_timm_reads_it(tmp_path, ffn, registers, form):
    network = small(registers, registers == 4, ffn)
    state = of_authors(network)
    found = read(saved(tmp_path / "c.pth", state), network, form)
    assert "names of DINOv2's authors" in found.taken
    named = checkpoint_filter_fn(dict(state), network)
    expected = {name: value.reshape(found.state[name].shape) for name, value in named.items()}
    assert equal(found.state, expected) and equal(network.state_dict(), expected)


def test_a_file_of_timm_is_read_as_it_is(tmp_path):
    network = small(4, True)
    state = {name: value + 1 for name, value in network.state_dict().items()}
    for form in ("", "timm", "dinov2"):
        found = read(saved(tmp_path / "c.pth", state), network, form)
        assert equal(found.state, state) and ("authors" in found.taken) == (form == "dinov2")


def test_weights_behind_a_prefix_are_found(tmp_path):
    network = small(4, True)
    state = {f"backbone.{name}": value for name, value in of_authors(network).items()}
    found = read(saved(tmp_path / "c.pth", {"teacher": state | {"head.bias": torch.zeros(3)}}), network, "")
    assert found.label == "teacher" and "names behind `backbone.`" in found.taken


FEW = "choose the architecture that the weights are for; of DINOv2's, those whose names end in _reg have 4"


@pytest.mark.parametrize("form", ["", "dinov2"])
@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
@pytest.mark.parametrize(
    ("has", "needs", "words"),
    [
        (4, 0, "it has 4 registers, but Dinov2 has no registers"),
        (1, 0, "it has 1 register, but Dinov2 has no registers"),
        (0, 4, "it has no registers, but Dinov2 has 4 registers"),
        (10, 4, "it has 10 registers, but Dinov2 has 4 registers"),
    ],
)
def test_another_number_of_registers_is_refused(tmp_path, form, ffn, has, needs, words):
    path = saved(tmp_path / "c.pth", of_authors(small(has, False, ffn)))
    with pytest.raises(ValueError) as caught:
        published.read(path, small(needs, False, ffn), form)
    assert str(caught.value) == f"{path}: {words}: {FEW}"


def test_registers_are_not_dropped_by_the_strict_way_either():
    with pytest.raises(ValueError, match=r"^here does not fit Dinov2: extra reg_token; pos_embed has shape \(1, 13"):
        filled(small(0), of_authors(small(4)))


@pytest.mark.parametrize("form", ["", "dinov2"])
@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize(
    ("lost", "missing"),
    [("blocks.1.mlp.fc1.bias", "blocks.1.mlp.fc1.bias"), ("cls_token", "cls_token"), ("norm.weight", "norm.weight")],
)
def test_missing_and_extra_entries_are_named(tmp_path, form, registers, lost, missing):
    network = small(registers, registers == 4)
    state = of_authors(network)
    del state[lost]
    path = saved(tmp_path / "c.pth", state | {"more.weight": torch.zeros(3, 5)})
    with pytest.raises(ValueError) as caught:
        read(path, network, form)
    text = str(caught.value)
    assert text.startswith(f"{path} does not fit Dinov2: missing {missing}") and "; extra more.weight" in text
    assert "mask_token" not in text


def test_other_networks_stay_as_they_are():
    beit = timm.create_model("beit_base_patch16_224", embed_dim=12, depth=1, num_heads=1).state_dict()
    for state in (small(4, True).state_dict(), beit | {"mask_token": torch.zeros(1, 1, 12)}):
        assert dinov2_names.to_timm(state) is state


def test_a_file_for_another_network_gets_the_list_of_entries(tmp_path):
    path = saved(tmp_path / "c.pth", timm.create_model("test_convnext").state_dict())
    with pytest.raises(ValueError, match=r"does not fit Dinov2: missing cls_token"):
        read(path, small(4, True))


def test_what_is_no_backbone_is_not_written_for_the_authors():
    with pytest.raises(ValueError, match=r"^this is no state of DINOv2 under timm's names: it lacks cls_token, pos_"):
        dinov2_names.to_authors(timm.create_model("test_convnext").state_dict())
    with pytest.raises(ValueError, match=r"^networks of DINOv2's authors have no head\.weight: take the state of one"):
        dinov2_names.to_authors(small(num_classes=3).state_dict())
