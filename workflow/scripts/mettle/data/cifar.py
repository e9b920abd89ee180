"""
CIFAR-10 and CIFAR-100 as published, in their python and binary versions, packed or unpacked.

Krizhevsky 2009, "Learning multiple layers of features from tiny images". The python version is a pickle: it is read
by an unpickler that can make numpy arrays and plain containers and nothing else.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mettle.data.item import Item, check_classes, png

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Version:
    """Files of a published version.

    Attributes
    ----------
    folder : name of the folder in the archive
    train, test : files of the splits, in order
    names : file with the class names
    labels : python version: keys of the labels and of the names; binary version: label bytes per image, the last one
        being the class
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    labels: tuple[str, str] | int

    def read(self, source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
        """Images of one split in the order of the files, as lossless PNG.

        Parameters
        ----------
        source : the archive, or the folder that it unpacks to (or that folder's parent)
        split : train or test
        classes : number of classes that the file of names must list
        seed : changes nothing

        Raises
        ------
        ValueError
            If the archive is truncated, a file is missing, damaged or of the wrong size, or a label is out of range.
        """
        files = getattr(self, split)
        members = _members(source, self.folder, (self.names, *files))
        names = self._names(members[self.names], f"{source}: {self.names}")
        check_classes(len(names), classes, f"{source}: {self.names}")
        return (item for file in files for item in self._items(members[file], names, f"{source}: {file}", file))

    def _names(self, data: bytes, where: str) -> list[str]:
        if isinstance(self.labels, int):
            return data.decode("ascii").split()
        return [_text(name) for name in _field(_unpickle(data, where), self.labels[1], where)]

    def _items(self, data: bytes, names: list[str], where: str, file: str) -> Iterator[Item]:
        pixels, labels = self._binary(data, where) if isinstance(self.labels, int) else self._python(data, where)
        for row, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            if not 0 <= label < len(names):
                raise ValueError(f"{where}[{row}]: label {label} is out of range 0..{len(names) - 1}")
            array = image.reshape(3, 32, 32).transpose(1, 2, 0)
            yield Item(png(np.ascontiguousarray(array)), int(label), names[label], f"{self.folder}/{file}[{row}]")

    def _binary(self, data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
        size = self.labels + _PIXELS
        if not data or len(data) % size:
            raise ValueError(
                f"{where} has {len(data)} bytes, not a multiple of {size}: it is truncated or another file"
            )
        rows = np.frombuffer(data, np.uint8).reshape(-1, size)
        return rows[:, self.labels :], rows[:, self.labels - 1].astype(int)

    def _python(self, data: bytes, where: str) -> tuple[np.ndarray, list[int]]:
        batch = _unpickle(data, where)
        pixels, labels = np.asarray(_field(batch, "data", where)), _field(batch, self.labels[0], where)
        if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
            raise ValueError(f"{where}: '{self.labels[0]}' is not a list of integers")
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), _PIXELS):
            raise ValueError(f"{where} holds {pixels.dtype} data of shape {pixels.shape} for {len(labels)} labels")
        return pixels, labels


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
VERSIONS = {
    "cifar10_python": Version(
        "cifar-10-batches-py", _BATCHES, ("test_batch",), "batches.meta", ("labels", "label_names")
    ),
    "cifar10_binary": Version(
        "cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), ("test_batch.bin",), "batches.meta.txt", 1
    ),
    "cifar100_python": Version("cifar-100-python", ("train",), ("test",), "meta", ("fine_labels", "fine_label_names")),
    "cifar100_binary": Version("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", 2),
}


def _members(source: Path, folder: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Contents of files of an archive or of a folder, by name."""
    if source.is_dir():
        inner = source / folder if (source / folder).is_dir() else source
        if missing := [name for name in names if not (inner / name).is_file()]:
            raise ValueError(f"{inner} lacks {', '.join(missing)}")
        return {name: (inner / name).read_bytes() for name in names}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                path = Path(member.name)
                if member.isfile() and path.parent.name == folder and path.name in names:
                    found[path.name] = archive.extractfile(member).read()
            while archive.fileobj.read(1 << 20):  # gzip compares its checksum at the very end, past the last member
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{source} is truncated, damaged, or no tar archive: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{source} lacks {', '.join(f'{folder}/{name}' for name in missing)}")
    return found


class _Unpickler(pickle.Unpickler):
    """Makes numpy arrays and plain containers only."""

    _SAFE = frozenset(
        (module, name)
        for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("_reconstruct", "ndarray", "dtype")
    ) | {("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:
        """The numpy object of this name, or an error."""
        if (module, name) not in self._SAFE:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs")
        return super().find_class(module, name)


def _unpickle(data: bytes, where: str) -> dict:
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # damaged pickles raise many kinds of errors
        raise ValueError(f"{where} is damaged or not a CIFAR file: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{where} holds a {type(found).__name__}, not the dictionary of a CIFAR file")
    return {_text(key): value for key, value in found.items()}


def _field(batch: dict, key: str, where: str) -> Any:
    if key not in batch:
        raise ValueError(f"{where} has no '{key}', only {', '.join(map(str, batch))}")
    return batch[key]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
