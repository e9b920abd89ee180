"""
Published checkpoints: the weights of a network, wherever they are in a file and whatever prefix their names have.

They are found by the names of the network that they are for. Of several sets of weights, the choice is that of timm
(`timm.models.load_state_dict`): averaged ones before others, then `state_dict`, then `model`.
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mettle.models import copies, dinov2_names, efficientnet, normaliser, renamed, swin, unpickled, wide
from mettle.models.normaliser import Normaliser
from mettle.models.weights import COUNTER
from mettle.schema import check_registry

State = dict[str, Tensor]


@dataclass(frozen=True)
class Format:
    """How a kind of checkpoint names the entries of a network.

    Attributes
    ----------
    rename : state under its own names to state under those of our networks
    about : what such a file holds
    """

    rename: Callable[[State], State]
    about: str


FORMATS = {
    "timm": Format(dict, "names of timm's and torchvision's networks, or of your own"),
    "madry": Format(renamed.madry, "names of MadryLab's `robustness` library"),
    "bai": Format(renamed.bai, "names of the GELU ResNet-50 of Bai et al. 2021"),
    "swin": Format(swin.official, "names of the Swin Transformer's authors"),
    "openmmlab": Format(swin.openmmlab, "names of OpenMMLab's Swin Transformer"),
    "efficientnet": Format(efficientnet.to_timm, "names of EfficientNet's port to PyTorch, `efficientnet_pytorch`"),
    "trades": Format(wide.trades, "names of the wide ResNets of TRADES's code"),
    "deepmind": Format(wide.deepmind, "names of DeepMind's wide and pre-activation ResNets"),
    "kuangliu": Format(wide.kuangliu, "names of the pre-activation ResNets of kuangliu's code"),
    "dinov2": Format(dinov2_names.to_timm, "names of DINOv2's authors"),
}
check_registry("models.format", FORMATS)


@dataclass(frozen=True)
class Published:
    """What is taken from a checkpoint.

    Attributes
    ----------
    state : of the network; without its names, the nearest match
    normaliser : mean and standard deviation of the input, if the file has them
    label : keys that lead to the weights in the file, joined by points; empty for the file itself
    taken : what was taken, and what was not, in words
    """

    state: State
    normaliser: Normaliser | None
    label: str
    taken: str


def read(path: str | Path, network: nn.Module, form: str = "", part: str = "") -> Published:
    """The weights of a network in a checkpoint.

    Parameters
    ----------
    path : safetensors, or a file of `torch.save`; nothing in it is run
    network : that the weights are for; their shapes are not compared
    form : key of `FORMATS`; empty to see which one fits
    part : key under which the weights are, where the file holds several sets of them; empty for the choice above

    Raises
    ------
    ValueError
        If the file is not a complete checkpoint, it is unclear which entries are the weights and the normaliser, it has
        no weights under `part`, or the
        network has another number of registers.
    """
    content = _opened(path)
    try:
        found = _found(content, network.state_dict().keys(), [form] if form else list(FORMATS), part)
        dinov2_names.check_registers(found.state, network)
        return found
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _found(content: Any, names: Set[str], forms: list[str], part: str) -> Published:
    needed = {name for name in names if not name.endswith(COUNTER)}
    sets = _under(dict(_sets(content)), part)
    label = _chosen(sets, needed, forms) if sets else _refuse(content)
    form, state, fits = _fitting(sets[label], needed, forms)
    if not fits:
        return Published(_nearest(state, needed, forms), None, label, "nothing")
    prefix = copies.one(fits, needed)
    spare = {f"{prefix}{name}": value for name, value in fits[prefix].items() if name not in names}
    beside = {name: value for name, value in state.items() if not name.startswith(tuple(fits))}
    normal = normaliser.find(spare | beside | (normaliser.loose(content) if label else {}))
    if forms == ["madry"] and normal is None:
        raise ValueError("it is not in MadryLab format, because it has no normaliser: leave column `format` empty")
    known = normal.names if normal else ()
    own = {name: value for name, value in fits[prefix].items() if f"{prefix}{name}" not in known}
    left = [f"`{other}`" for other in sets if other not in (label, "")] + [name for name in beside if name not in known]
    left += [f"{other}*" for other in fits if other != prefix]
    return Published(own, normal, label, _sentence(label, prefix, form, normal, left))


def _fitting(state: State, needed: Set[str], forms: list[str]) -> tuple[str, State, dict[str, State]]:
    """The format under whose names the network is there, the state, and its copies by prefix, or no copies.

    Of several formats, the first of those that leave the fewest entries over.
    """
    state = copies.plain(state)
    for names in (state, copies.plain(state, "module")):  # a part of the network alone may be data-parallel
        found = {form: fits for form in forms if (fits := copies.find(names, needed, FORMATS[form].rename))}
        if found:
            form = min(found, key=lambda form: min(len(under) for under in found[form].values()))
            return form, names, found[form]
    return forms[0], state, {}


def _nearest(state: State, needed: Set[str], forms: list[str]) -> State:
    """What a state has of a network, under the names of the first format that leaves the fewest lacking and over."""
    found = [copies.nearest(state, needed, FORMATS[form].rename) for form in forms]
    return max(found, key=lambda under: (len(needed & under.keys()), -len(under)))


def _sentence(label: str, prefix: str, form: str, normal: Normaliser | None, left: list[str]) -> str:
    parts = [f"takes `{label}`" if label else "takes what the file holds"]
    parts += [f"names behind `{prefix}`"] * bool(prefix) + [FORMATS[form].about] * (form != "timm")
    if left:
        parts.append("leaves out " + ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else ""))
    return "; ".join([*parts, f"normaliser {normal.where}" if normal else "mean and std of the recipe or row"])


# Sets of weights in a file

# timm's order, with other names for averaged weights.
_FIRST = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "state_dict", "model")
_OF_TRAINING = ("optim", "sched", "scaler")


def _opened(path: str | Path) -> Any:
    """What a file holds. safetensors begin with the length of a head, and the head, in JSON; a name may say nothing."""
    with Path(path).open("rb") as file:
        if file.read(9)[8:] != b"{":
            return unpickled.read(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a complete checkpoint: {error}") from error


def _sets(value: Any, *keys: str) -> Iterator[tuple[str, State]]:
    """Tensors by name, some of two dimensions or more, and the keys that lead to them, joined by points."""
    if not isinstance(value, dict) or any(part in key for key in keys for part in _OF_TRAINING):
        return
    named = {key: entry for key, entry in value.items() if isinstance(key, str)}
    tensors = {key: entry for key, entry in named.items() if isinstance(entry, Tensor)}
    if any(entry.ndim > 1 for entry in tensors.values()):
        yield ".".join(keys), tensors
    for key, entry in named.items():
        yield from _sets(entry, *keys, key)


def _under(sets: dict[str, State], part: str) -> dict[str, State]:
    """The sets under a key, or all; ValueError if there is none under it."""
    found = {label: state for label, state in sets.items() if f"{label}.".startswith(f"{part}." if part else "")}
    if sets and not found:
        there = ", ".join(f"`{label}`" for label in sets if label) or "no key at all"
        raise ValueError(f"it has no weights under `{part}`, but under {there}: correct column `part`")
    return found


def _chosen(sets: dict[str, State], needed: Set[str], forms: list[str]) -> str:
    """Label of the set to take: the only one, the first in timm's order, or the only one that has the network."""
    if len(sets) == 1:
        return next(iter(sets))
    for first in _FIRST:
        if len(named := [label for label in sets if label.partition(".")[0] == first]) == 1:
            return named[0]
    if len(fits := [label for label, state in sets.items() if _fitting(state, needed, forms)[2]]) == 1:
        return fits[0]
    shown = ", ".join(f"`{label}`" for label in fits or sets)
    raise ValueError(
        f"it holds several sets of weights, {shown}: name one of them in column `part`, or save it alone, by "
        "torch.save(file[key], path)"
    )


def _refuse(content: Any) -> NoReturn:
    """Raise ValueError with the contents of a file without weights by name."""
    keys = (
        sorted(content, key=lambda key: key not in (*_FIRST, "net", "network")) if isinstance(content, dict) else [""]
    )
    for key in keys:
        entry = content[key] if isinstance(content, dict) else content
        if isinstance(entry, unpickled.Inert):
            under = f", under `{key}`," if key else ""
            what = f"an object of {entry.of}, which only its own code can open"
            raise ValueError(f"it holds{under} {what}: {unpickled.SAVE}")
    what = (", ".join(map(str, content)) or "nothing") if isinstance(content, dict) else f"a {type(content).__name__}"
    raise ValueError(f"it holds no weights by name, but {what}: {unpickled.SAVE}")
