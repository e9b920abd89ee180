"""
States of DINOv2 under the names of its authors (facebookresearch/dinov2), and under those of timm.

The authors' files have `register_tokens`, where there are any, and a position embedding of the class token, the first
row of `pos_embed`. timm's networks with registers have no such row: `cls_token` is the sum of both. `mask_token` only
serves the training of DINOv2, and no network here has it.
"""

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

State = dict[str, Tensor]

# Layers of a gated feed-forward network, authors' names first.
_GATED = ((".mlp.w12.", ".mlp.fc1."), (".mlp.w3.", ".mlp.fc2."))
_OF_AUTHORS = re.compile(r"mask_token$|register_tokens$|blocks\.\d+\.mlp\.w(12|3)\.")


def to_timm(state: State) -> State:
    """A state of the authors under the names of timm, without `mask_token`; any other state as it is.

    With registers, the position embedding of the class token is added to `cls_token`. Entries that are too many or
    lacking stay so, for the network to refuse.
    """
    if not any(name.endswith(".ls1.gamma") for name in state) or not any(map(_OF_AUTHORS.match, state)):
        return state
    found = {_replaced(name, _GATED): value for name, value in state.items() if name != "mask_token"}
    if "register_tokens" not in found:
        return found
    found["reg_token"] = found.pop("register_tokens")
    if {"cls_token", "pos_embed"} <= found.keys():
        found["cls_token"] = found["cls_token"] + found["pos_embed"][:, :1]
        found["pos_embed"] = found["pos_embed"][:, 1:]
    return found


def to_authors(state: State) -> State:
    """A state of `Dinov2` without head under the names of the authors, whose network then gives the same outputs.

    `mask_token` (1, d) is 0, as before training. With registers, the position embedding of the class token is 0, and
    `cls_token` is the sum of both. All other tensors are those of the authors' file that `to_timm` read.

    Raises
    ------
    ValueError
        If an entry is lacking that it is known by, or it has a head, for which the authors' networks have no place.
    """
    needed = ("cls_token", "pos_embed", "blocks.0.ls1.gamma", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight")
    if missing := [name for name in needed if name not in state]:
        raise ValueError(f"this is no state of DINOv2 under timm's names: it lacks {', '.join(missing)}")
    if heads := [name for name in state if name.startswith(("head.", "fc_norm."))]:
        raise ValueError(f"networks of DINOv2's authors have no {heads[0]}: take the state of one with classes=0")
    wide, narrow = state["blocks.0.mlp.fc1.weight"].shape[0], state["blocks.0.mlp.fc2.weight"].shape[1]
    parts = [(ours, theirs) for theirs, ours in _GATED] if wide == 2 * narrow else []
    found = {_replaced(name, parts): value for name, value in state.items()}
    found["mask_token"] = torch.zeros_like(found["cls_token"][0])
    if "reg_token" in found:
        found["register_tokens"] = found.pop("reg_token")
        found["pos_embed"] = torch.cat([torch.zeros_like(found["cls_token"]), found["pos_embed"]], dim=1)
    return found


def check_registers(state: State, network: nn.Module) -> None:
    """Raise ValueError if a state has all that a network needs, but another number of registers, timm's `reg_token`."""
    own = network.state_dict()
    has, needs = _registers(state), _registers(own)
    if has != needs and own.keys() - {"reg_token"} <= state.keys():
        raise ValueError(
            f"it has {_counted(has)}, but {type(network).__name__} has {_counted(needs)}: choose the architecture that "
            "the weights are for; of DINOv2's, those whose names end in _reg have 4"
        )


def _registers(state: State) -> int:
    token = state.get("reg_token")
    return 0 if token is None or token.ndim != 3 else token.shape[1]


def _counted(registers: int) -> str:
    return f"{registers} register" + "s" * (registers != 1) if registers else "no registers"


def _replaced(name: str, parts: Iterable[tuple[str, str]]) -> str:
    for old, new in parts:
        name = name.replace(old, new)
    return name
