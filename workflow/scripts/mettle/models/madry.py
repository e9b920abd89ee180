"""Checkpoints in the format of MadryLab's `robustness` library, read without running what is pickled in them."""

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# The only names in a checkpoint that are looked up; tensor storages come in addition, handled by torch itself.
_SAFE = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
}

# What torch raises on a file that is cut off, changed, or something else.
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
)

# What the library's networks for CIFAR (its `cifar_models`) call otherwise than ours.
_OTHERWISE = {r"^linear\.": "fc.", r"^(layer\d\.\d+)\.shortcut\.": r"\1.downsample."}


class _Inert:
    """Stands for every other object in the file: takes any construction and state, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Nothing."""

    def extend(self, values: Any) -> None:
        """Nothing."""

    def __call__(self, *args: Any, **kwargs: Any) -> "_Inert":
        return self


class Unpickler(pickle.Unpickler):
    """Resolves tensors and plain containers only."""

    def find_class(self, module: str, name: str) -> Any:
        """The safe object of this name, else an inert class."""
        if module == "torch" and name.endswith("Storage"):
            return getattr(torch, name)
        return _SAFE.get((module, name), _Inert)


class _Pickle:
    """What `torch.load` needs of a pickle module."""

    __name__ = "mettle.models.madry"
    Unpickler = Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        """One object of a stream."""
        return Unpickler(file, **options).load()


def read(path: str | Path) -> dict[str, Tensor]:
    """Weights of a checkpoint under the names of its network.

    Parameters
    ----------
    path : file with the keys `model` (or `state_dict`): a DataParallel(AttackerModel), whose state holds the network
        under `module.model.` (`module.model.model.` in the transfer models), a second copy under `module.attacker.`,
        and the normaliser

    Returns
    -------
    dict
        State of the network, of the library's networks for CIFAR under the names of ours; of the normaliser, `mean` and
        `std` of shape (3,).

    Raises
    ------
    ValueError
        If the file is no such checkpoint.

    Notes
    -----
    These files are pickles written with dill and hold optimiser and schedule objects, so that torch's own safe mode
    refuses them. Here every object but tensors, ordered dictionaries and plain values becomes inert; nothing is called.
    """
    try:
        with Path(path).open("rb") as file:
            whole = torch.load(file, map_location="cpu", pickle_module=_Pickle, weights_only=False)  # our Unpickler
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a whole checkpoint: {error}") from error
    state = next((whole[key] for key in ("model", "state_dict") if isinstance(whole, dict) and key in whole), None)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not in MadryLab format: no tensors under `model` or `state_dict`")
    return _network(state, path)


def _network(state: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    network = {
        key.removeprefix("model.").removeprefix("model."): value
        for key, value in bare.items()
        if key.startswith("model.")
    }
    try:
        normaliser = {key: bare[f"normalizer.new_{key}"].flatten() for key in ("mean", "std")}
    except KeyError as error:
        raise ValueError(f"{path} is not in MadryLab format: no key 'module.{error.args[0]}'") from error
    if not network:
        raise ValueError(f"{path} is not in MadryLab format: no key starts with 'module.model.'")
    return {_ours(key, network): value for key, value in network.items()} | normaliser


def _ours(key: str, network: dict[str, Tensor]) -> str:
    """The name that our network of this kind has for an entry."""
    if key.startswith("classifier.") and {"classifier.weight", "features.0.weight"} <= network.keys():
        return key.replace("classifier.", "fc.", 1)  # its VGG; torchvision's has three layers there
    for theirs, ours in _OTHERWISE.items():
        key = re.sub(theirs, ours, key)
    return key
