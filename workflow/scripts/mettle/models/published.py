"""Published checkpoints by format, each read without running what is pickled in it."""

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mettle.models import madry


@dataclass(frozen=True)
class Format:
    """How to read a checkpoint.

    Attributes
    ----------
    read : path to the state of the network under its own names; also `mean` and `std` (3,) if the file has them
    about : what such a file holds
    """

    read: Callable[[str | Path], dict[str, Tensor]]
    about: str


# A model behind its normaliser: the names that the two have in Sequential(normalizer, model).
_WRAPPED = (("0.", "1."), ("normalize.", "model."), ("normalizer.", "model."))


def read_timm(path: str | Path) -> dict[str, Tensor]:
    """Weights of a timm network.

    Parameters
    ----------
    path : a safetensors file, as timm publishes them; or a state saved by torch, bare or under the key `model` or
        `state_dict`; names may start with `module.`, and the network may stand behind a normaliser with buffers `mean`
        and `std`

    Raises
    ------
    ValueError
        If the file is no such checkpoint, or holds objects other than tensors and plain values.
    """
    try:
        whole = load_file(path) if _is_safetensors(path) else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} cannot be read safely as a checkpoint: {str(error).splitlines()[0]}") from error
    except (SafetensorError, EOFError, OSError, RuntimeError, ValueError, LookupError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {str(error) or 'it is empty'}") from error
    if isinstance(whole, dict):
        whole = next((whole[key] for key in ("model", "state_dict") if isinstance(whole.get(key), dict)), whole)
    if not isinstance(whole, dict) or not whole or not all(isinstance(value, Tensor) for value in whole.values()):
        raise ValueError(f"{path} is not in timm format: no tensors by name, under `model`, or under `state_dict`")
    return _unwrapped({str(key).removeprefix("module."): value for key, value in whole.items()})


def _is_safetensors(path: str | Path) -> bool:
    """Whether a file begins as safetensors do: the length of a head, and the head, in JSON. A name may say nothing."""
    with Path(path).open("rb") as file:
        return file.read(9)[8:] == b"{"


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's state by its own names, and `mean` and `std` (3,) where it stands behind a normaliser."""
    for normaliser, network in _WRAPPED:
        if all(key.startswith((normaliser, network)) for key in state):
            found = {key.removeprefix(network): value for key, value in state.items() if key.startswith(network)}
            return found | {
                key.removeprefix(normaliser): value.flatten()
                for key, value in state.items()
                if key.startswith(normaliser)
            }
    return state


def read_bai(path: str | Path) -> dict[str, Tensor]:
    """
    Weights of the GELU ResNet-50 of Bai et al. 2021 (arXiv:2111.05464) as those of `resnet50_gelu`.

    There, each normalisation is eight batch normalisations without weights, chosen by kind of image, and one affine map
    behind. They see halves of a batch as different channels, so that their statistics are twice as long. At test time
    the first half of the first one is in use; with the affine map it is an ordinary batch normalisation.
    """
    found = {}
    for key, value in read_timm(path).items():
        if match := re.fullmatch(r"(.+)\.bn(\d)\.proxy_bn\.(\w+)", key):
            name, which, entry = match.groups()
            if which == "0":
                found[f"{name}.{entry}"] = value[: len(value) // 2] if value.ndim else value
        else:
            found[key.replace(".aff.bnconv.", ".")] = value.flatten() if ".aff.bnconv." in key else value
    return found


FORMATS = {
    "madry": Format(madry.read, "DataParallel(AttackerModel) of MadryLab's `robustness` library"),
    "timm": Format(read_timm, "state of a timm network, as timm (safetensors), RobustBench and many papers publish it"),
    "bai": Format(read_bai, "GELU ResNet-50 of Bai et al. 2021 with eight ghost batch normalisations"),
}
