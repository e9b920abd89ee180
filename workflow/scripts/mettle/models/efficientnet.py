"""EfficientNet as its first port to PyTorch names it, whose blocks are counted through all stages, as timm's."""

import re

from torch import Tensor

State = dict[str, Tensor]

_BLOCK = re.compile(r"_blocks\.(\d+)\.(_\w+)(\..*)?")
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# Parts of a block by whether it expands its channels first.
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_EXPANDING = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"} | _SQUEEZE
_EXPANDING |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"} | _SQUEEZE


def to_timm(state: State) -> State:
    """An EfficientNet or EfficientNet-Lite under timm's names; other entries keep theirs.

    A stage begins where the channels that a block passes on change, since those of all stages differ.
    """
    widths = {int(m[1]): len(value) for name, value in state.items() if (m := _BLOCK.fullmatch(name)) and _passes_on(m)}
    places, stage, within = {}, -1, 0
    for number in sorted(widths):
        begins = widths[number] != widths.get(number - 1)
        stage, within = (stage + 1, 0) if begins else (stage, within + 1)
        places[number] = f"blocks.{stage}.{within}"
    return {_renamed(name, places, state): value for name, value in state.items()}


def _passes_on(match: re.Match) -> bool:
    return (match[2], match[3]) == ("_project_conv", ".weight")


def _renamed(name: str, places: dict[int, str], state: State) -> str:
    if (match := _BLOCK.fullmatch(name)) and (place := places.get(int(match[1]))):
        parts = _EXPANDING if f"_blocks.{match[1]}._expand_conv.weight" in state else _PLAIN
        return f"{place}.{parts.get(match[2], match[2])}{match[3] or ''}"
    first, dot, rest = name.partition(".")
    return f"{_TOP.get(first, first)}{dot}{rest}"
