"""Wide ResNets under the names of TRADES's and DeepMind's code: the logits of the public definitions."""

import re

import pytest
import torch

from mettle.models import published
from mettle.models.small import SwishWideResNet, WideResNet
from mettle.models.wide import deepmind, trades

TOP = {"stem": ("conv1", "init_conv"), "norm": ("bn1", "batchnorm"), "fc": ("fc", "logits")}
PARTS = {"bn1": ("bn1", "batchnorm_0"), "conv1": ("conv1", "conv_0"), "bn2": ("bn2", "batchnorm_1")}
PARTS |= {"conv2": ("conv2", "conv_1"), "shortcut": ("convShortcut", "shortcut")}
# Of github.com/RobustBench/robustbench at 78fcc9e, robustbench/model_zoo/architectures: WideResNet(16, 10, 1) of
# wide_resnet.py, and DMWideResNet(10, 16, 1, Swish) of dm_wide_resnet.py, with mean and std of CIFAR-10.
LOGITS = {
    "trades": [
        [2.79323, 7.24654, -1.55859, -8.00877, -0.59228, 7.77148, 2.50495, -6.93073, -3.75214, 6.51488],
        [2.94166, 7.67526, -1.60604, -8.44866, -0.64845, 8.19814, 2.66163, -7.32048, -4.00063, 6.84609],
    ],
    "deepmind": [
        [4.10831, 9.61668, -2.31537, -10.55717, -0.43582, 10.35674, 2.95748, -9.40939, -4.78854, 8.7494],
        [3.98171, 10.21476, -2.04788, -11.09224, -0.82935, 10.79911, 3.45521, -9.73451, -5.36286, 8.93923],
    ],
}
KINDS = {"trades": (0, WideResNet, trades), "deepmind": (1, SwishWideResNet, deepmind)}
MEAN, STD = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2471, 0.2435, 0.2616])


def theirs(network, which):
    """Names of the entries of a network of two blocks a stage in the code of others."""
    found = {}
    for name, value in network.state_dict().items():
        if match := re.fullmatch(r"stages\.(\d+)\.(\w+)\.(\w+)", name):
            number, part, entry = int(match[1]), PARTS[match[2]][which], match[3]
            place = (f"layer.{number // 2}.block", f"block{number // 2 + 1}.layer")[which == 0]
            found[f"{place}.{number % 2}.{part}.{entry}"] = value
        else:
            head, _, rest = name.partition(".")
            found[f"{TOP[head][which]}.{rest}"] = value
    return found


def filled(state):
    """Numbers that follow from the names and their order alone."""
    found = {}
    for place, (name, value) in enumerate(sorted(state.items())):
        x = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 0.37 + place).view(value.shape)
        if not value.is_floating_point():
            found[name] = value
        elif name.endswith("running_var"):
            found[name] = (1.5 + x * 0.5).float()
        elif value.ndim > 1:
            found[name] = (x * (2 / value[0].numel()) ** 0.5).float()
        else:
            found[name] = (x * 0.3 + (1 if "weight" in name else 0)).float()
    return found


def images():
    x = torch.sin(torch.arange(2 * 3 * 32 * 32, dtype=torch.float64) * 0.11) * 0.5 + 0.5
    return x.float().view(2, 3, 32, 32)


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("said", [True, False])
def test_logits_are_those_of_the_public_definition(tmp_path, form, said):
    which, kind, _ = KINDS[form]
    network = kind(10, blocks=2, factor=1)
    state = filled(theirs(network, which))
    state = {f"module.{name}": value for name, value in state.items()}
    if form == "trades":  # a stage that no image passes
        state |= {"module.sub_block1.layer.0.bn1.weight": torch.ones(16)}
    torch.save({"state_dict": state}, tmp_path / "theirs.pt")
    found = published.read(tmp_path / "theirs.pt", network, form if said else "")
    network.load_state_dict(found.state)
    x = images() if form == "trades" else (images() - MEAN[:, None, None]) / STD[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), torch.tensor(LOGITS[form]), rtol=0, atol=2e-4)


def test_names_of_others_stay():
    state = {"stages.0.conv1.weight": torch.zeros(1), "other.0.weight": torch.zeros(1)}
    assert list(trades(state)) == list(deepmind(state)) == list(state)
