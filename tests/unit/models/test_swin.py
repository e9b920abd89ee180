"""Swin Transformers of other projects: the same network gives the same answers under timm's names."""

import pytest
import timm
import torch
from timm.models import swin_transformer

from mettle.models import published, swin, weights
from mettle.models.adapters import operators
from mettle.models.adapters.quiet import quiet

SHAPE = {"window_size": 7, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 3, 6]}
CLASSES = 5


def classifier(**other):
    torch.manual_seed(1)
    return swin_transformer.SwinTransformer(embed_dim=24, num_classes=CLASSES, **SHAPE, **other).eval()


@pytest.fixture(scope="module")
def theirs():
    """OpenMMLab's network, with random weights that no initialisation rule made alike."""
    operators.register()
    with quiet():
        from mmseg.models.backbones import SwinTransformer

        network = SwinTransformer(embed_dims=24, **SHAPE)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=generator)
    network.eval()
    return network


def checkpoint(network, norm="norm3."):
    """State of a classifier of OpenMMLab on a network, with or without the normalisations of other stages."""
    state = {f"backbone.{name}": value for name, value in network.state_dict().items()}
    generator = torch.Generator().manual_seed(2)
    head = {"weight": torch.randn(CLASSES, 192, generator=generator), "bias": torch.randn(CLASSES, generator=generator)}
    kept = {name.replace("norm3.", norm): value for name, value in state.items() if ".norm" not in name[:13]}
    kept |= {f"backbone.{norm}{part}": state[f"backbone.norm3.{part}"] for part in ("weight", "bias")}
    return kept | {f"head.fc.{part}": value for part, value in head.items()}


def saved(path, whole):
    torch.save(whole, path)
    return path


@pytest.mark.parametrize("form", ["", "openmmlab"])
@pytest.mark.parametrize("norm", ["norm.", "norm3."])
@torch.no_grad()
def test_a_classifier_of_openmmlab_gives_the_same_logits(tmp_path, theirs, norm, form):
    whole = checkpoint(theirs, norm)
    path = saved(tmp_path / "c.pth", {"meta": {"epoch": 300}, "state_dict": whole, "optimizer": {}})
    ours = classifier(always_partition=True, strict_img_size=False)  # mmsegmentation shifts windows at every size
    found = published.read(path, ours, form)
    assert found.label == "state_dict" and "OpenMMLab's Swin Transformer" in found.taken
    weights.fill(ours, found.state, path)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    expected = theirs(images)[3].mean((2, 3)) @ whole["head.fc.weight"].T + whole["head.fc.bias"]
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_maps_of_all_stages_are_the_same_and_without_the_permutation_they_are_not(theirs):
    ours = classifier(always_partition=True, strict_img_size=False)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))

    def differences(state):
        ours.load_state_dict(state | {name: value for name, value in ours.state_dict().items() if "head." in name})
        maps = ours.forward_intermediates(images, intermediates_only=True)
        normalised = [getattr(theirs, f"norm{k}")(one.permute(0, 2, 3, 1)) for k, one in enumerate(maps)]
        pairs = zip(normalised, theirs(images), strict=True)
        return [float((one - other.permute(0, 2, 3, 1)).abs().max()) for one, other in pairs]

    state = swin.openmmlab(theirs.state_dict())
    assert max(differences(state)) < 1e-5
    unordered = {name: swin._by_channel(value) if ".downsample." in name else value for name, value in state.items()}
    first, *later = differences(unordered)
    assert first < 1e-5 and min(later) > 0.01


def test_the_permutation_and_the_names_go_both_ways(theirs):
    state = {name: value for name, value in theirs.state_dict().items() if "relative_position_index" not in name}
    state = {name: value for name, value in state.items() if not name.startswith(("norm0", "norm1.", "norm2."))}
    back = swin.to_openmmlab(swin.openmmlab(state))
    assert list(back) == list(state) and all(torch.equal(back[name], value) for name, value in state.items())
    ours = {name: value for name, value in classifier().state_dict().items() if "head." not in name}
    again = swin.openmmlab(swin.to_openmmlab(ours))
    assert list(again) == list(ours) and all(torch.equal(again[name], value) for name, value in ours.items())


def test_the_columns_of_a_merged_patch_are_permuted():
    """OpenMMLab: channel by channel, pixels by rows; timm: pixel by pixel, by columns."""
    two = torch.tensor([[100, 101, 110, 111, 200, 201, 210, 211]])  # channel, row, column
    assert swin._by_pixel(two).tolist() == [[100, 200, 110, 210, 101, 201, 111, 211]]
    assert torch.equal(swin._by_channel(swin._by_pixel(two)), two)


def of_the_authors(network):
    """State of a network of timm as the file of the authors has it, with the buffers that it holds."""
    state = {"layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49)}
    for name, value in network.state_dict().items():
        parts = name.split(".")
        if "downsample" in parts:
            parts[1] = str(int(parts[1]) - 1)
        state[".".join(parts).replace("head.fc.", "head.")] = value
        if name.endswith("relative_position_bias_table"):
            state[name.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.long)
    return state


@pytest.mark.parametrize("form", ["", "swin"])
def test_a_file_of_the_authors_is_read_as_timm_reads_it(tmp_path, form):
    network = classifier()
    whole = of_the_authors(network)
    found = published.read(saved(tmp_path / "c.pth", {"model": whole}), network, form)
    assert found.label == "model" and "the Swin Transformer's authors" in found.taken
    expected = swin_transformer.checkpoint_filter_fn({"model": dict(whole)}, network)
    for state in (expected, network.state_dict()):
        assert found.state.keys() == state.keys()
        assert all(torch.equal(found.state[name], value) for name, value in state.items())


@pytest.mark.parametrize("kind", ["swin", "openmmlab"])
@pytest.mark.parametrize("norm", ["norm.", "norm3."])
def test_missing_and_extra_entries_are_named(tmp_path, theirs, kind, norm):
    ours = classifier()
    if kind == "swin":
        whole, place, lost = of_the_authors(ours), "layers.0.downsample.norm.bias", "layers.2.blocks.0.mlp.fc1.bias"
        del whole[lost]
    else:
        whole, place = checkpoint(theirs, norm), "backbone.stages.0.downsample.norm.bias"
        lost = "layers.2.blocks.0.mlp.fc1.bias"
        del whole["backbone.stages.2.blocks.0.ffn.layers.0.0.bias"]
    assert place in whole
    path = saved(tmp_path / "c.pth", whole | {"extra.bias": torch.zeros(3, 3)})
    with pytest.raises(ValueError) as caught:
        weights.fill(ours, published.read(path, ours, kind).state, path)
    assert str(caught.value) == f"{path} does not fit SwinTransformer: missing {lost}; extra extra.bias"


@pytest.mark.parametrize("rename", [swin.official, swin.openmmlab])
def test_other_networks_stay_as_they_are(rename):
    state = timm.create_model("test_convnext", num_classes=CLASSES).state_dict()
    assert rename(state) is state
