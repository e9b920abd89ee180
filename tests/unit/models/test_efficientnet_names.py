"""Names of EfficientNet's port to PyTorch: every entry of timm's network, in its order, and the same logits."""

import re

import pytest
import timm
import torch

from mettle.models import published
from mettle.models.efficientnet import to_timm

PARTS = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
PARTS |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
SQUEEZE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
TOP = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}


def theirs(network):
    """The state of a network of timm under the names of the port."""
    state, numbers, found = network.state_dict(), {}, {}
    for name, value in state.items():
        if match := re.fullmatch(r"(blocks\.\d+\.\d+)\.((?:se\.)?\w+)\.(\w+)", name):
            block, part, entry = match.groups()
            number = numbers.setdefault(block, len(numbers))
            names = (PARTS if f"{block}.conv_pwl.weight" in state else FIRST) | SQUEEZE
            found[f"_blocks.{number}.{names[part]}.{entry}"] = value
        else:
            first, _, rest = name.partition(".")
            found[f"{TOP[first]}.{rest}"] = value
    return found


@pytest.mark.parametrize("arch", ["tf_efficientnet_lite0", "tf_efficientnet_lite2", "tf_efficientnet_b0"])
def test_every_entry_finds_its_place(arch):
    torch.manual_seed(0)
    network = timm.create_model(arch)
    state = network.state_dict()
    found = to_timm(theirs(network))
    assert list(found) == list(state) and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("form", ["", "efficientnet"])
def test_a_file_is_read_by_its_format_and_without(tmp_path, form):
    network = timm.create_model("tf_efficientnet_lite0", num_classes=4)
    torch.save(theirs(network), tmp_path / "theirs.pth")
    read = published.read(tmp_path / "theirs.pth", timm.create_model("tf_efficientnet_lite0", num_classes=4), form)
    again = timm.create_model("tf_efficientnet_lite0", num_classes=4)
    again.load_state_dict(read.state)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again.eval()(images), network.eval()(images))


def test_names_of_others_stay():
    state = {"layer1.0.conv1.weight": torch.zeros(1), "_blocks.0._other.weight": torch.zeros(1)}
    assert list(to_timm(state)) == list(state)
