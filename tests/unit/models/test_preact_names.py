"""Residual networks under the names of kuangliu's and DeepMind's code: the logits of the public definitions."""

import re

import pytest
import torch
import torchvision

from mettle import models
from mettle.models import published
from mettle.models.wide import kuangliu

# Of github.com/RobustBench/robustbench at 78fcc9e, robustbench/model_zoo/architectures, each with `scattered` numbers:
# PreActResNet of resnet.py with PreActBlock; with PreActBlockV2 and bn_before_fc, as with PreActBlock, bn_before_fc and
# out_shortcut; DMPreActResNet of dm_wide_resnet.py with Swish, mean 0 and std 1; ResNet18 and ResNet50 of resnet.py;
# and WideResNet(40, 10, 2) of wide_resnet.py.
LOGITS = {
    "preact_resnet_18_unnormed": [
        [-6.3149, -3.8751, -10.8701, 3.2052, 9.1142, 11.7973, 5.9286, 9.5887, -2.3462, 3.9043],
        [-8.4837, -3.4987, -9.0153, 2.3523, 8.4229, 11.5081, 4.9993, 8.7196, -1.1334, 2.9448],
    ],
    "preact_resnet_18": [
        [-7.3917, 2.1863, 3.3832, 4.6751, 5.6133, -1.5031, -2.3837, -2.0590, 0.3122, 0.9765],
        [-7.2285, 2.2885, 3.4476, 4.6422, 5.6742, -0.9466, -2.5383, -1.8555, 0.0907, 0.8991],
    ],
    "preact_resnet_18_silu": [
        [-5.7664, -1.4175, 0.6127, -1.8616, 2.6899, -0.7160, -0.2740, 1.1655, -2.4854, 2.2597],
        [-4.6480, -1.7478, 1.4744, -2.0075, 2.0810, -0.8487, 0.2112, 1.7643, -1.8033, 2.0896],
    ],
    "resnet18_32": [
        [0.3475, -0.0935, 1.4771, 0.5554, -2.8322, 1.0903, 0.8106, 2.1197, 4.1706, 3.9874],
        [0.2812, -0.2686, 1.4357, 0.8540, -3.0524, 1.4796, 0.8160, 1.8381, 4.2921, 4.0921],
    ],
    "resnet50_32": [
        [8.6866, 1.0407, 3.1380, 6.4122, -10.3702, 15.7608, -4.3848, -23.5022, -15.3432, -4.0840],
        [8.7395, 0.9032, 2.8778, 6.2119, -9.9327, 15.5855, -4.4602, -22.9272, -15.3737, -3.6872],
    ],
    "wide_resnet40_2": [
        [-4.5169, 4.1055, 5.3755, -7.1494, -3.9062, -1.8511, 7.2824, 8.9448, 13.0033, -5.9282],
        [-4.3248, 4.2822, 5.6973, -6.6088, -3.7318, -2.1446, 6.7453, 9.3238, 12.7248, -5.9791],
    ],
}
KINDS = {
    "preact_resnet_18_unnormed": "kuangliu",
    "preact_resnet_18": "kuangliu",
    "preact_resnet_18_silu": "deepmind",
    "resnet18_32": "",
    "resnet50_32": "",
    "wide_resnet40_2": "trades",
}
TOP = {
    "kuangliu": {"stem": "conv1", "norm": "bn", "fc": "linear"},
    "deepmind": {"stem": "conv_2d", "norm": "batchnorm", "fc": "logits"},
    "trades": {"stem": "conv1", "norm": "bn1", "fc": "fc"},
}
PARTS = {
    "kuangliu": {"shortcut": "shortcut.0"},
    "deepmind": {"bn1": "batchnorm_0", "conv1": "conv_2d_1", "bn2": "batchnorm_1", "conv2": "conv_2d_2"},
    "trades": {"shortcut": "convShortcut"},
}
PLACES = {
    "kuangliu": lambda stage, block: f"layer{stage + 1}.{block}",
    "deepmind": lambda stage, block: f"layer_{stage}.{block}",
    "trades": lambda stage, block: f"block{stage + 1}.layer.{block}",
}


def theirs(state, form, blocks):
    """Entries of one of our networks under the names in the code of others."""
    if not form:
        return {re.sub(r"^fc\.", "linear.", name.replace("downsample", "shortcut")): state[name] for name in state}
    found = {}
    for name, value in state.items():
        if match := re.fullmatch(r"stages\.(\d+)\.(\w+)\.(\w+)", name):
            stage, block = divmod(int(match[1]), blocks)
            part = PARTS[form].get(match[2], match[2])
            found[f"{PLACES[form](stage, block)}.{part}.{match[3]}"] = value
        else:
            head, _, rest = name.partition(".")
            found[f"{TOP[form][head]}.{rest}"] = value
    return found


def scattered(state):
    """Numbers that follow from the names and their order alone, without a pattern that a network could see."""
    found = {}
    for place, (name, value) in enumerate(sorted(state.items())):
        n = torch.arange(value.numel(), dtype=torch.float64)
        x = (((n * 7919 + place * 104729) % 65537) ** 2 * 31 % 65537 / 32768.5 - 1).view(value.shape)
        if not value.is_floating_point():
            found[name] = value
        elif name.endswith("running_var"):
            found[name] = (1.5 + x * 0.5).float()
        elif value.ndim > 1:
            found[name] = (x * (6 / value[0].numel()) ** 0.5).float()
        else:
            found[name] = (x * 0.3 + (1 if "weight" in name else 0)).float()
    return found


def images():
    n = torch.arange(2 * 3 * 32 * 32, dtype=torch.float64)
    return ((n**2 * 31 % 65537) / 65537).float().view(2, 3, 32, 32)


@pytest.mark.parametrize("arch", KINDS)
@pytest.mark.parametrize("said", [True, False])
def test_logits_are_those_of_the_public_definition(tmp_path, arch, said):
    form = KINDS[arch]
    network = models.build(arch, 10, 32)
    state = scattered(theirs(network.state_dict(), form, 6 if form == "trades" else 2))
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "theirs.pt")
    found = published.read(tmp_path / "theirs.pt", network, form if said else "")
    network.load_state_dict(found.state)
    with torch.no_grad():
        logits = network.eval()(images())
    expected = torch.tensor(LOGITS[arch])
    assert (expected[0] - expected[1]).abs().max() > 0.1, "logits do not depend on the image"
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)


def test_names_of_others_stay():
    state = {"stages.0.conv1.weight": torch.zeros(1), "layer2.0.shortcut.1.weight": torch.zeros(1)}
    assert list(kuangliu(state)) == list(state)


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_network_of_torchvision_behind_a_normaliser(tmp_path, prefix):
    theirs = torchvision.models.resnet18().eval()
    theirs.load_state_dict(scattered(theirs.state_dict()))
    state = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    if prefix:
        outer = prefix.removesuffix("model.")
        state |= {f"{outer}normalize.{name}": torch.full((1, 3, 1, 1), 0.25) for name in ("mean", "std")}
    torch.save({"state_dict": state}, tmp_path / "theirs.pt")
    ours = models.build("resnet18", 1000, 224)
    found = published.read(tmp_path / "theirs.pt", ours)
    ours.load_state_dict(found.state)
    assert (found.normaliser.mean if prefix else [0.25] * 3) == [0.25] * 3
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images()), theirs(images()), rtol=1e-4, atol=1e-3)
