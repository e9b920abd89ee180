"""
Values by id in an LMDB file: how the stores of images and of their targets are written and read.

A key is an id in decimal with eight digits. Nothing is pickled. A manifest has the SHA-256 of every value, and every
read is checked against it. A file may hold several named databases with the same keys.
"""

import hashlib
import shutil
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

_MAP_SIZE = 1 << 24  # bytes to start with; doubled whenever the map is full
_DATABASES = 8  # named databases that a file may hold
_READ_ONLY = {"subdir": False, "lock": False, "readonly": True, "create": False, "readahead": False}

# LMDB cannot open a file twice in one process, so readers of the same file share it.
_OPEN: weakref.WeakValueDictionary[tuple[int, int], lmdb.Environment] = weakref.WeakValueDictionary()


class Values:
    """
    Values of one LMDB file, or of one named database in it, by position; each is checked on read.

    It can be pickled and forked: a worker process opens the file for itself.

    Parameters
    ----------
    path : the file
    ids : int64 (n,), the id of each position
    sha256 : SHA-256 in hexadecimal of each position's value, as bytes (n,)
    what : what a value is, for messages: `image`, `label map`
    database : name of the database; empty for a file that has only one

    Raises
    ------
    ValueError
        If the file is missing, damaged, something else, or has another number of values.
    """

    def __init__(self, path: Path, ids: np.ndarray, sha256: np.ndarray, what: str, database: str = "") -> None:
        self.path, self.ids, self.what, self.database = path, ids, what, database
        self._sha256 = sha256
        self._env: lmdb.Environment | None = _open(path)
        held = self._count()
        if held != len(ids):
            raise ValueError(f"{path} holds {held} {what}s, but its manifest {manifest_of(path)} lists {len(ids)}")

    def __len__(self) -> int:
        """Number of values."""
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the open file, which belongs to this process."""
        return self.__dict__ | {"_env": None}

    def get(self, index: int) -> bytes:
        """The value at a position (not an id). Raises what `read` raises."""
        (value,) = self.read([index])
        return value

    def read(self, indices: Iterable[int]) -> Iterator[bytes]:
        """The values at these positions, in one transaction.

        Raises
        ------
        IndexError
            If a position is not in 0..n-1.
        ValueError
            If the bytes are missing, or are not those that the manifest's SHA-256 describes.
        """
        if self._env is None:
            self._env = _open(self.path)
        database = self._env.open_db(self.database.encode(), create=False) if self.database else None
        with self._env.begin(db=database) as transaction:
            for index in indices:
                if not 0 <= index < len(self):
                    raise IndexError(f"{self.path} holds {self.what}s 0 to {len(self) - 1}, asked for {index}")
                yield self._get(transaction, index)

    def _get(self, transaction: lmdb.Transaction, index: int) -> bytes:
        name = f"{self.path}: {self.what} with id {self.ids[index]}"
        try:
            value = transaction.get(_key(self.ids[index]))
        except lmdb.Error as error:
            raise ValueError(f"{name} cannot be read: {error}") from error
        if value is None:
            raise ValueError(f"{name} is missing")
        if sha256_of(value).encode() != self._sha256[index]:
            raise ValueError(f"{name} is damaged: its bytes differ from the SHA-256 in the manifest")
        return value

    def _count(self) -> int:
        if not self.database:
            return self._env.stat()["entries"]
        try:
            database = self._env.open_db(self.database.encode(), create=False)
        except lmdb.Error as error:
            raise ValueError(f"{self.path} holds no {self.what}s: {error}") from error
        with self._env.begin() as transaction:
            return transaction.stat(database)["entries"]


class Writer:
    """Puts values into an LMDB file that is open for writing."""

    def __init__(self, env: lmdb.Environment) -> None:
        self._env, self._done = env, Counter()

    @property
    def done(self) -> int:
        """Number of values written, in the database with most."""
        return max(self._done.values(), default=0)

    def put(self, values: Iterable[tuple[int, bytes]], database: str = "") -> None:
        """Append (id, value) pairs in the order of their ids."""
        values = list(values)
        place = self._env.open_db(database.encode()) if database else None
        while True:
            try:
                with self._env.begin(write=True, db=place) as transaction:
                    for number, value in values:
                        transaction.put(_key(number), value, append=True)
                break
            except lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
        self._done[database] += len(values)


@contextmanager
def writing(part: Path, path: Path) -> Iterator[Writer]:
    """A writer of a new file under a temporary name; `path` is what messages call it.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    try:
        with lmdb.open(str(part), subdir=False, lock=False, sync=False, map_size=_MAP_SIZE, max_dbs=_DATABASES) as env:
            writer = Writer(env)
            yield writer
            env.sync(True)
    except lmdb.Error as error:
        free, done = shutil.disk_usage(path.parent).free >> 20, writer.done if writer else 0
        raise OSError(f"{path} cannot be written after {done} images: {error} ({free} MiB free on its disk)") from error


def sha256_of(value: bytes) -> str:
    """SHA-256 of a value in hexadecimal."""
    return hashlib.sha256(value).hexdigest()


def manifest_of(path: Path) -> Path:
    """The manifest beside a store of images or targets: `{split}.parquet`."""
    return path.with_name(path.name.removesuffix(".lmdb").removesuffix(".targets") + ".parquet")


def _open(path: Path) -> lmdb.Environment:
    if not path.is_file():
        raise ValueError(f"{path} is missing or not a file; a store is made by the stage prep")
    key = (path.stat().st_dev, path.stat().st_ino)
    if (env := _OPEN.get(key)) is None:
        try:
            env = lmdb.open(str(path), max_dbs=_DATABASES, **_READ_ONLY)
        except lmdb.Error as error:
            raise ValueError(f"{path} is not an LMDB file: {error}") from error
        _check_size(env, path)
        _OPEN[key] = env
    return env


def _check_size(env: lmdb.Environment, path: Path) -> None:
    """Compare size and header: reading past the end of a truncated file would kill the process."""
    needed, size = (env.info()["last_pgno"] + 1) * env.stat()["psize"], path.stat().st_size
    if size < needed:
        raise ValueError(f"{path} is truncated: it has {size} bytes of {needed}")


def _key(number: int) -> bytes:
    return b"%08d" % number
