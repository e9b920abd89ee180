"""Contents of a file of `torch.save`, read without running what is pickled in it."""

import pickle
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import torch

# The only names in a file that are looked up; tensor storages come in addition, handled by torch itself.
_SAFE = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
}

# What torch raises on a file that is truncated, changed, or something else.
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

# First bytes of common files that are something else.
_OTHERS = {
    b"": "it is empty",
    b"<": "it is a web page, not the file behind it",
    b"\x89HDF": "it is an HDF5 file, as Keras writes them; only weights of torch are read",
    b"\x1f\x8b": "it is a gzip archive; name the file in it after # in column `source`",
}


class Inert:
    """Takes the place of every other object in the file: accepts any arguments and state, does nothing.

    Attributes
    ----------
    of : full name of the class or function that the file asks for
    """

    of = ""

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

    def __call__(self, *args: Any, **kwargs: Any) -> "Inert":
        return self


class Unpickler(pickle.Unpickler):
    """Resolves tensors and plain containers only."""

    def find_class(self, module: str, name: str) -> Any:
        """The safe object of this name, else an inert class."""
        if module == "torch" and name.endswith("Storage"):
            return getattr(torch, name)
        return _SAFE.get((module, name)) or type("Inert", (Inert,), {"of": f"{module}.{name}"})


class _Pickle:
    """The parts of a pickle module that `torch.load` needs."""

    __name__ = "mettle.models.unpickled"
    Unpickler = Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        """One object of a stream."""
        return Unpickler(file, **options).load()


def read(path: str | Path) -> Any:
    """The object in a file of `torch.save`; in it, every object but tensors, containers and plain values is `Inert`.

    Raises
    ------
    ValueError
        If the file is not a complete file of `torch.save`, or is a TorchScript archive.

    Notes
    -----
    Checkpoints hold optimisers, schedules and arguments of the programs that wrote them, which torch's own safe mode
    refuses to read. Here they become inert; nothing is called.
    """
    if _is_torchscript(path):  # torch.load would pass it to torch.jit.load, which runs its contents
        raise ValueError(f"{path} is a TorchScript archive, whose code would have to run: {SAVE}")
    try:
        with Path(path).open("rb") as file:
            return torch.load(file, map_location="cpu", pickle_module=_Pickle, weights_only=False)  # our Unpickler
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a complete checkpoint: {_what(path) or error}") from error


SAVE = "save its weights alone, by torch.save(model.state_dict(), path)"


def _is_torchscript(path: str | Path) -> bool:
    try:
        return torch._C.PyTorchFileReader(str(path)).has_record("constants.pkl")
    except RuntimeError:  # not a zip file of torch
        return False


def _what(path: str | Path) -> str:
    """What a file is instead, if its first bytes tell."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "it is a zip archive without weights of torch; name the file in it after # in column `source`"
    with Path(path).open("rb") as file:
        first = file.read(8).lstrip()
    return next((text for start, text in _OTHERS.items() if (first.startswith(start) if start else not first)), "")
