"""Names of pre-activation residual networks in the code of TRADES, of DeepMind and of kuangliu."""

import re

from torch import Tensor

State = dict[str, Tensor]

# Of TRADES (Zhang et al. 2019, arXiv:1901.08573); some files have a stage more, `sub_block1`, that no image passes.
_TRADES = {"conv1": "stem", "bn1": "norm", "fc": "fc"}
_TRADES_BLOCK = {"bn1": "bn1", "conv1": "conv1", "bn2": "bn2", "conv2": "conv2", "convShortcut": "shortcut"}
# Of Gowal et al. 2020 (arXiv:2010.03593).
_DEEPMIND = {"init_conv": "stem", "conv_2d": "stem", "batchnorm": "norm", "logits": "fc"}
_DEEPMIND_BLOCK = {"batchnorm_0": "bn1", "conv_0": "conv1", "batchnorm_1": "bn2", "conv_1": "conv2"}
_DEEPMIND_BLOCK |= {"conv_2d_1": "conv1", "conv_2d_2": "conv2", "shortcut": "shortcut"}
# Of github.com/kuangliu/pytorch-cifar, with or without a normalisation before the last layer.
_KUANGLIU = {"conv1": "stem", "bn": "norm", "linear": "fc"}
_KUANGLIU_BLOCK = {name: name for name in ("bn1", "conv1", "bn2", "conv2")} | {"shortcut.0": "shortcut"}


def trades(state: State) -> State:
    """A wide ResNet of TRADES's code under the names of `wide_resnet*`; other entries keep theirs."""
    used = {name: value for name, value in state.items() if not name.startswith("sub_block1.")}
    return _renamed(used, r"block([123])\.layer\.(\d+)\.(\w+)\.(\w+)", 1, _TRADES, _TRADES_BLOCK)


def deepmind(state: State) -> State:
    """A network of DeepMind's code under the names of `wide_resnet*_silu` and `preact_resnet_18_silu`."""
    return _renamed(state, r"layer[._]([0123])\.(?:block\.)?(\d+)\.(\w+)\.(\w+)", 0, _DEEPMIND, _DEEPMIND_BLOCK)


def kuangliu(state: State) -> State:
    """A pre-activation ResNet of kuangliu's code under the names of `preact_resnet_18*`; other entries keep theirs."""
    return _renamed(state, r"layer([1234])\.(\d+)\.(\w+|shortcut\.0)\.(\w+)", 1, _KUANGLIU, _KUANGLIU_BLOCK)


def _renamed(state: State, pattern: str, first: int, top: dict[str, str], parts: dict[str, str]) -> State:
    """Blocks are counted through all stages here, and stages from `first` there."""
    matches = {name: match for name in state if (match := re.fullmatch(pattern, name)) and match[3] in parts}
    blocks = max((int(match[2]) + 1 for match in matches.values()), default=0)
    found = {}
    for name, value in state.items():
        if match := matches.get(name):
            number = (int(match[1]) - first) * blocks + int(match[2])
            found[f"stages.{number}.{parts[match[3]]}.{match[4]}"] = value
        else:
            head, dot, rest = name.partition(".")
            found[f"{top.get(head, head)}{dot}{rest}"] = value
    return found
