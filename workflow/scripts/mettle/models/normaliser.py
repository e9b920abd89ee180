"""Mean and standard deviation of the input, where a checkpoint holds them beside or in its network."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

# How they are called: normalize.mean, 0.std, normalizer.new_mean, pixel_mean, mu and sigma, means and sds.
_NAMES = {"mean": r"((?!running)[a-z_]*_)?(?:means?|mu)", "std": r"([a-z_]*_)?(?:stds?|sds?|stdevs?|sigmas?)"}


class Normaliser(NamedTuple):
    """The names of its two tensors, and their numbers per channel."""

    names: tuple[str, str]
    mean: list[float]
    std: list[float]

    @property
    def where(self) -> str:
        """The names, for people."""
        return " and ".join(f"`{name}`" for name in self.names)


def find(state: Mapping[str, Tensor]) -> Normaliser | None:
    """The normaliser among tensors, or None.

    Parameters
    ----------
    state : tensors by name, without those of the network

    Raises
    ------
    ValueError
        If one of the two numbers lacks, there are several that differ, they are not in pixel range [0, 1], or there is
        what may be a normaliser under a name that is not known.
    """
    found = {name: both for name, both in _pairs(state).items() if all(both) or state[name].numel() > 1}
    for name, (mean, std) in found.items():
        if mean is None or std is None:
            has, lacks = ("mean", "standard deviation") if std is None else ("standard deviation", "mean")
            raise ValueError(f"it has the {has} of a normaliser, `{name}`, but not its {lacks}: {_REMEDY}")
    known = {name for both in found.values() for name, _ in both}
    if unknown := [name for name, value in state.items() if name not in known and _may_be(name, value)]:
        raise ValueError(f"`{unknown[0]}` of 3 values may be part of a normaliser of unknown names: {_REMEDY}")
    normalisers = [_numbers(*both) for both in found.values()]
    if len({(tuple(one.mean), tuple(one.std)) for one in normalisers}) > 1:
        raise ValueError(f"it has several normalisers, {', '.join(one.where for one in normalisers)}: {_REMEDY}")
    for one in normalisers:
        check(one.mean, one.std, f"the normaliser {one.where}")
    return normalisers[0] if normalisers else None


_REMEDY = "save the network's weights alone, and write mean and std into the recipe or the row"


def loose(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Entries of a file that are called as a normaliser's and are tensors, or lists of three numbers."""
    numbers = {key: value for key, value in content.items() if isinstance(key, str) and _numeric(value)}
    found = {key: torch.as_tensor(value) for key, value in numbers.items()}
    return {key: value for key, value in found.items() if any(re.fullmatch(p, key, re.I) for p in _NAMES.values())}


def _numeric(value: Any) -> bool:
    listed = isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(one, float | int) for one in value)
    return listed or isinstance(value, Tensor)


def check(mean: list[float], std: list[float], what: str) -> None:
    """Raise ValueError unless mean and standard deviation are of pixels in [0, 1].

    Parameters
    ----------
    mean, std : per channel
    what : what has them, for the message
    """
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        shown = [", ".join(f"{value:.6g}" for value in values) for values in (mean, std)]
        raise ValueError(
            f"{what} has mean {shown[0]} and standard deviation {shown[1]}, but pixels here are in [0, 1]: "
            "where they are for pixels from 0 to 255, divide both by 255"
        )


def once(network: Mapping[str, Tensor], mean: list[float], std: list[float], where: str) -> None:
    """Raise ValueError if a network that has a normaliser of its own stands behind another one.

    Parameters
    ----------
    network : its state
    mean, std : of the one before it
    where : what has them, for the message
    """
    own = [name for name, both in _pairs(network).items() if all(both)]
    if own and (any(mean) or any(value != 1 for value in std)):
        raise ValueError(
            f"{where}: the network normalises by itself (`{own[0]}`): set its mean to 0, 0, 0 and its std to 1, 1, 1"
        )


def _pairs(state: Mapping[str, Tensor]) -> dict[str, list]:
    """[(name, tensor) of the mean, of the standard deviation], either None, by the first name of the two."""
    found: dict[tuple[str, str], list] = {}
    for name, value in state.items():
        parent, _, last = name.rpartition(".")
        for place, pattern in enumerate(_NAMES.values()):
            if value.numel() in (1, 3) and (match := re.fullmatch(pattern, last, re.I)):
                found.setdefault((parent, (match[1] or "").lower()), [None, None])[place] = (name, value)
    return {next(one[0] for one in both if one): both for both in found.values()}


def _numbers(mean: tuple[str, Tensor], std: tuple[str, Tensor]) -> Normaliser:
    values = [tensor.float().flatten().expand(3).tolist() for _, tensor in (mean, std)]
    return Normaliser((mean[0], std[0]), *values)


def _may_be(name: str, value: Tensor) -> bool:
    """Whether a tensor looks like numbers of the three channels of an input."""
    shaped = tuple(value.shape) in ((1, 3, 1, 1), (3, 1, 1))
    named = tuple(value.shape) == (3,) and re.search("norm|mean|std", name, re.I)
    return value.is_floating_point() and bool(shaped or named)
