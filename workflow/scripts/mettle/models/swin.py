"""
Swin Transformers under the names of their authors (Liu et al. 2021, arXiv:2103.14030), of OpenMMLab and of timm.

Authors and OpenMMLab merge patches at the end of a stage, timm at the start of the next one. OpenMMLab also takes the
pixels of a merged patch in another order than the two others, so that weights are permuted, not only renamed.
"""

import re

from torch import Tensor

State = dict[str, Tensor]

# Parts of names of timm and of OpenMMLab, in the order in which they are replaced from left to right.
_PARTS = (
    ("layers.", "stages."),
    (".attn.", ".attn.w_msa."),
    (".mlp.fc1.", ".ffn.layers.0.0."),
    (".mlp.fc2.", ".ffn.layers.1."),
    ("patch_embed.proj.", "patch_embed.projection."),
)
_MERGING = re.compile(r"^(layers|stages)\.(\d+)\.downsample\.")
# Entries that timm's networks do not have: OpenMMLab's normalisations of feature maps, and what follows from a shape.
BESIDE = re.compile(r"norm[0-2]\.|.+\.(relative_position_index|attn_mask)$")
_SWAPPED = [0, 2, 1, 3]  # the four pixels of a merged patch, by rows and by columns


def official(state: State) -> State:
    """A network of the authors, under the names of timm; any other state as it is."""
    if "layers.0.downsample.reduction.weight" not in state:
        return state
    kept = {name: value for name, value in state.items() if not BESIDE.match(name)}
    return {_moved(re.sub(r"^head\.(?!fc\.)", "head.fc.", name), 1): value for name, value in kept.items()}


def openmmlab(state: State) -> State:
    """A classifier of OpenMMLab, or its backbone alone, under the names of timm; any other state as it is."""
    plain = {name.removeprefix("backbone."): value for name, value in state.items()}
    if "stages.0.blocks.0.attn.w_msa.qkv.weight" not in plain:
        return state
    found = {}
    for name, value in plain.items():
        if BESIDE.match(name):
            continue
        ordered = _by_pixel(value) if _MERGING.match(name) else value
        for ours, theirs in reversed(_PARTS):
            name = name.replace(theirs, ours)
        found[_moved(re.sub(r"^norm3\.", "norm.", name), 1)] = ordered
    return found


def to_openmmlab(state: State) -> State:
    """The backbone of a network of timm, under the names of OpenMMLab: the inverse of `openmmlab`."""
    found = {}
    for name, value in state.items():
        ordered = _by_channel(value) if _MERGING.match(name) else value
        name = _moved(re.sub(r"^norm\.", "norm3.", name), -1)
        for ours, theirs in _PARTS:
            name = name.replace(ours, theirs)
        found[name] = ordered
    return found


def _moved(name: str, stages: int) -> str:
    """The name of an entry of patch merging so many stages later; any other name as it is."""
    return _MERGING.sub(lambda found: f"{found[1]}.{int(found[2]) + stages}.downsample.", name)


def _by_pixel(value: Tensor) -> Tensor:
    """Last axis from OpenMMLab's order, channels first, pixels of a patch by rows, to pixels first, by columns."""
    return value.unflatten(-1, (-1, 4))[..., _SWAPPED].transpose(-1, -2).flatten(-2)


def _by_channel(value: Tensor) -> Tensor:
    """The inverse of `_by_pixel`."""
    return value.unflatten(-1, (4, -1))[..., _SWAPPED, :].transpose(-1, -2).flatten(-2)
