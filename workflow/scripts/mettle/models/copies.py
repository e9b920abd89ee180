"""The names of a network among others: after which prefix they come, and in which of several copies."""

import re
from collections import Counter
from collections.abc import Callable, Set

import torch
from torch import Tensor

State = dict[str, Tensor]

# Wrappers that add their name to those of the wrapped module: torch.compile, fully sharded training, checkpointing.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_DEPTH = 6  # of a prefix, at most
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?)[._]")


def plain(state: State, *more: str) -> State:
    """A state without the names of wrappers, and of `more`, anywhere in its names."""
    drop = {*_WRAPPERS, *more}
    return {".".join(part for part in name.split(".") if part not in drop): value for name, value in state.items()}


def find(state: State, needed: Set[str], rename: Callable[[State], State]) -> dict[str, State]:
    """By each prefix that all names of a network come after: everything after it, renamed.

    Parameters
    ----------
    state : tensors by name
    needed : names of the network
    rename : from the state after a prefix to one with the names of our networks
    """
    found = {prefix: rename(behind(state, prefix)) for prefix in _prefixes(state, len(needed))}
    return {prefix: under for prefix, under in found.items() if needed <= under.keys()}


def one(copies: dict[str, State], needed: Set[str]) -> str:
    """The prefix of the copy to take: averaged weights before others, the first if all are equal.

    Raises
    ------
    ValueError
        If several are left.
    """
    left = [prefix for prefix in copies if _AVERAGED.search(prefix)] or list(copies)
    left = [prefix for prefix in left if "attacker." not in prefix] or left  # MadryLab's second copy of the first
    first = copies[left[0]]
    if all(torch.equal(copies[prefix][name], first[name]) for prefix in left for name in needed):
        return left[0]
    shown = ", ".join(f"`{prefix}`" for prefix in left)
    raise ValueError(f"it has several copies of the network, after {shown}: save the weights of one of them alone")


def nearest(state: State, needed: Set[str], rename: Callable[[State], State]) -> State:
    """What comes after the prefix that most names of a network come after, renamed."""
    found = (rename(behind(state, prefix)) for prefix in _prefixes(state, 1))
    return max(found, key=lambda under: len(needed & under.keys()))


def behind(state: State, prefix: str) -> State:
    """The entries after a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _prefixes(state: State, least: int) -> list[str]:
    """Prefixes with at least this many names after them, the shortest first."""
    counts = Counter({"": len(state)})
    for name in state:
        parts = name.split(".")
        counts.update(".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), _DEPTH)))
    return sorted((prefix for prefix, n in counts.items() if n >= least), key=len)
