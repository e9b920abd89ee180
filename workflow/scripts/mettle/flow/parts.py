"""Results of finished batches of an evaluation, so that a killed job resumes where it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mettle.digests import fingerprint
from mettle.files import atomic

# One value per image (n, ...), or a list of n arrays that differ in length.
Column = np.ndarray | list[np.ndarray]
_LENGTHS = " lengths"


class Parts:
    """One file per batch in a folder that the workflow does not declare.

    Snakemake deletes the declared outputs of a failed job, so this folder is not one of them.

    Parameters
    ----------
    folder : of the files; removed once all parts are collected
    made_from : everything that the results depend on; files made from anything else are left alone
    n : number of batches
    """

    def __init__(self, folder: str | Path, made_from: list[Any], n: int) -> None:
        self.folder, self.n = Path(folder), n
        self.own = self.folder / fingerprint(made_from)[:32]
        self.done = [number for number in range(n) if self._path(number).exists()]
        self.left = [number for number in range(n) if number not in self.done]

    def save(self, number: int, columns: dict[str, Column]) -> None:
        """Save the results of a batch, atomically."""
        with atomic(self._path(number)) as tmp, tmp.open("wb") as file:
            np.savez(file, **_flat(columns))

    def collect(self) -> dict[str, Column]:
        """All results in the order of the batches; the folder is removed."""
        with np.load(self._path(0), allow_pickle=False) as part:
            keys = [key for key in part if not key.endswith(_LENGTHS)]
        columns = {key: _joined(list(self.each(key))) for key in keys}
        self.remove()
        return columns

    def load(self, number: int) -> dict[str, Column]:
        """The results of a finished batch."""
        with np.load(self._path(number), allow_pickle=False) as part:
            return {key: _column(part, key) for key in part if not key.endswith(_LENGTHS)}

    def each(self, key: str) -> Iterator[Column]:
        """One column, batch after batch."""
        for number in range(self.n):
            with np.load(self._path(number), allow_pickle=False) as part:
                yield _column(part, key)

    def remove(self) -> None:
        """Remove the folder, once its contents are saved elsewhere."""
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.own / f"{number}.npz"


def _flat(columns: dict[str, Column]) -> dict[str, np.ndarray]:
    """Columns as arrays: a list of arrays as one array, with their lengths in another."""
    found = {}
    for key, value in columns.items():
        if isinstance(value, list):
            found |= {key: np.concatenate(value), f"{key}{_LENGTHS}": np.array([len(one) for one in value])}
        else:
            found[key] = value
    return found


def _column(part: Any, key: str) -> Column:
    lengths = f"{key}{_LENGTHS}"
    return np.split(part[key], np.cumsum(part[lengths])[:-1]) if lengths in part else part[key]


def _joined(batches: list[Column]) -> Column:
    if isinstance(batches[0], list):
        return [one for batch in batches for one in batch]
    return np.concatenate(batches)
