"""Results of finished batches of an evaluation, so that a killed job resumes where it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mettle.digests import fingerprint
from mettle.files import atomic


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

    def save(self, number: int, columns: dict[str, np.ndarray]) -> None:
        """Save the results of a batch, atomically."""
        with atomic(self._path(number)) as tmp, tmp.open("wb") as file:
            np.savez(file, **columns)

    def collect(self) -> dict[str, np.ndarray]:
        """All results in the order of the batches; the folder is removed."""
        with np.load(self._path(0), allow_pickle=False) as part:
            keys = list(part)
        columns = {key: np.concatenate(list(self.each(key))) for key in keys}
        self.remove()
        return columns

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The results of a finished batch."""
        with np.load(self._path(number), allow_pickle=False) as part:
            return dict(part)

    def each(self, key: str) -> Iterator[np.ndarray]:
        """One column, batch after batch."""
        for number in range(self.n):
            with np.load(self._path(number), allow_pickle=False) as part:
                yield part[key]

    def remove(self) -> None:
        """Remove the folder, once its contents are saved elsewhere."""
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.own / f"{number}.npz"
