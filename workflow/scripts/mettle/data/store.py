"""
The image store: encoded images in one LMDB file, and beside it a parquet manifest with one row per image.

A key is the image's id, in decimal with eight digits, a value the encoded image. Nothing is pickled. The manifest
holds the SHA-256 of every value, and every read is checked against it.
"""

import hashlib
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pandas as pd
from PIL import Image

from mettle import tables
from mettle.data.item import Item, decode, decode_array
from mettle.files import whole

_BATCH = 256  # images per transaction: LMDB holds a transaction's pages in memory until it is committed
_MAP_SIZE = 1 << 24  # bytes to start with; doubled whenever the map is full
_READ = ["id", "label", "class_name", "sha256"]  # columns of the manifest that a store keeps in memory
_READ_ONLY = {"subdir": False, "lock": False, "readonly": True, "create": False, "readahead": False}

# LMDB refuses to open a file twice in one process, so stores of the same file share what is open.
_OPEN: weakref.WeakValueDictionary[tuple[int, int], lmdb.Environment] = weakref.WeakValueDictionary()


def write(
    lmdb_path: str | Path,
    manifest_path: str | Path,
    items: Iterable[Item],
    *,
    classes: int | None = None,
    table: tables.Table = tables.MANIFEST,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[Iterable[Item]], Iterable[Item]] | None = None,
) -> int:
    """Write images as a store, under temporary names that are renamed at the end, the manifest last.

    Ids count the images from 0 in the order given, unless the images bring their own. If anything fails, nothing new
    remains and an older store of the same name stays as it was. If the images and all that is said of them are those of
    an older store, its manifest stays, byte for byte.

    Parameters
    ----------
    lmdb_path, manifest_path : `{split}.lmdb` and `{split}.parquet` in one folder, which is made
    items : the images
    classes : number of classes; None takes any label from 0
    table : of the manifest: `tables.MANIFEST`, or one that extends it by what the images bring in `more`
    provenance : what made the images; `flow.job` gives it
    progress : wraps the iterable and shows how far it is, as `tqdm` does

    Returns
    -------
    Number of images written.

    Raises
    ------
    ValueError
        If there is no image, a label is out of range, two names are given to one class, or ids do not increase.
    OSError
        If a file cannot be written, for example because the disk is full.
    """
    lmdb_path, manifest_path = Path(lmdb_path), Path(manifest_path)
    items = _checked(progress(items) if progress else items, classes)
    with whole(manifest_path, partial(tables.alike, table=table)) as manifest, whole(lmdb_path) as images:
        rows = _write_images(images, lmdb_path, items, table)
        _write_manifest(manifest, manifest_path, table, rows, provenance)
    return len(rows["id"])


class Store:
    """
    Images of one split, read from its LMDB file and the manifest beside it.

    A store can be pickled and forked: a worker process opens the file for itself.

    Attributes
    ----------
    ids : int64 (n,), the ids in the order of the manifest
    labels : int64 (n,), class index of each image
    class_names : name of each class; a class without image in this split is named by its index

    Raises
    ------
    ValueError
        If one of the two files is missing, damaged, or something else, or if they differ in the number of images.
    """

    def __init__(self, lmdb_path: str | Path) -> None:
        self.path = Path(lmdb_path)
        manifest = self.path.with_suffix(".parquet")
        frame = _read_manifest(manifest, _READ)
        self.ids = frame["id"].to_numpy(np.int64)
        self.labels = frame["label"].to_numpy(np.int64)
        names = dict(zip(self.labels.tolist(), frame["class_name"], strict=True))
        self.class_names = [names.get(label, str(label)) for label in range(max(names, default=-1) + 1)]
        self._sha256 = frame["sha256"].to_numpy("S64")
        self._env: lmdb.Environment | None = _open(self.path)
        held = self._env.stat()["entries"]
        if held != len(self):
            raise ValueError(f"{self.path} holds {held} images, but its manifest {manifest} lists {len(self)}")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.ids)

    @property
    def digest(self) -> str:
        """Hash over all ids, labels and images: equal for equal data."""
        parts = (self.ids, self.labels, self._sha256)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the open file, which belongs to this process."""
        return self.__dict__ | {"_env": None}

    def manifest(self) -> pd.DataFrame:
        """One row per image in the order of the positions, with the columns of `tables.MANIFEST` but `objects`."""
        return _read_manifest(self.path.with_suffix(".parquet"), [*_READ, "source"])

    def position(self, number: int) -> int:
        """Position of the image with this id; ValueError if there is none."""
        found = np.flatnonzero(self.ids == number)
        if not len(found):
            raise ValueError(f"{self.path} holds no image with id {number}")
        return int(found[0])

    def image(self, index: int) -> Image.Image:
        """The image at a position (not an id), in RGB. Raises what `data` raises."""
        return decode(self.data(index))

    def data(self, index: int) -> bytes:
        """The encoded image at a position (not an id), as it was written.

        Raises
        ------
        IndexError
            If the position is not in 0..n-1.
        ValueError
            If the bytes are missing, or are not those that the manifest's SHA-256 describes.
        """
        (data,) = self._read([index])
        return data

    def arrays(self, indices: Sequence[int] | np.ndarray | None = None, threads: int = 1) -> np.ndarray:
        """Images at these positions (all by default) as one uint8 array of shape (n, h, w, 3), by this many threads.

        Raises
        ------
        ValueError
            If the images differ in size, or for what `image` raises.
        """
        indices = range(len(self)) if indices is None else [int(index) for index in indices]
        if not indices:
            return np.zeros((0, 0, 0, 3), np.uint8)
        first = decode_array(self.data(indices[0]))
        images = np.empty((len(indices), *first.shape), np.uint8)
        images[0] = first
        parts = [range(1 + k, len(indices), threads) for k in range(threads)]
        with ThreadPoolExecutor(threads) as pool:  # the decoders let go of the interpreter
            list(pool.map(lambda part: self._fill(images, indices, part), parts))
        return images

    def _fill(self, images: np.ndarray, indices: Sequence[int], places: range) -> None:
        """Decode the images at some of these positions into their places."""
        for place, data in zip(places, self._read(indices[place] for place in places), strict=True):
            found = decode_array(data, images[place])
            if found.shape != images.shape[1:]:
                sizes = f"{images.shape[1:3]} and {found.shape[:2]}"
                raise ValueError(f"{self.path}: images differ in size, {sizes} for example; one array needs one size")

    def _read(self, indices: Iterable[int]) -> Iterator[bytes]:
        """What `data` gives for each of these positions, in one transaction."""
        if self._env is None:
            self._env = _open(self.path)
        with self._env.begin() as transaction:
            for index in indices:
                if not 0 <= index < len(self):
                    raise IndexError(f"{self.path} holds images 0 to {len(self) - 1}, asked for {index}")
                yield self._get(transaction, index)

    def _get(self, transaction: lmdb.Transaction, index: int) -> bytes:
        try:
            data = transaction.get(_key(self.ids[index]))
        except lmdb.Error as error:
            raise ValueError(f"{self._name(index)} cannot be read: {error}") from error
        if data is None:
            raise ValueError(f"{self._name(index)} is missing")
        if hashlib.sha256(data).hexdigest().encode() != self._sha256[index]:
            raise ValueError(f"{self._name(index)} is damaged: its bytes differ from the SHA-256 in the manifest")
        return data

    def _name(self, index: int) -> str:
        return f"{self.path}: image with id {self.ids[index]}"


def _checked(items: Iterable[Item], classes: int | None) -> Iterator[Item]:
    names: dict[int, str] = {}
    for item in _numbered(items):
        if item.label < 0 or (classes is not None and item.label >= classes):
            last = "" if classes is None else classes - 1
            raise ValueError(f"{item.source}: label {item.label} is out of range 0..{last}")
        if names.setdefault(item.label, item.class_name) != item.class_name:
            known = names[item.label]
            raise ValueError(f"{item.source}: class {item.label} is named '{item.class_name}', before it was '{known}'")
        yield item


def _numbered(items: Iterable[Item]) -> Iterator[Item]:
    last = -1
    for number, item in enumerate(items):
        item = replace(item, id=number) if item.id is None else item
        if item.id <= last:
            raise ValueError(f"{item.source}: id {item.id} follows id {last}, but the ids of a store increase")
        last = item.id
        yield item


def _write_images(part: Path, path: Path, items: Iterator[Item], table: tables.Table) -> dict[str, list]:
    rows: dict[str, list] = {name: [] for name in table.columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with lmdb.open(str(part), subdir=False, lock=False, sync=False, map_size=_MAP_SIZE) as env:
            while batch := list(islice(items, _BATCH)):
                _put(env, batch)
                for item in batch:
                    _add_row(rows, item)
            env.sync(True)
    except lmdb.Error as error:
        free = shutil.disk_usage(path.parent).free >> 20
        raise OSError(
            f"{path} cannot be written after {len(rows['id'])} images: {error} ({free} MiB free on its disk)"
        ) from error
    if not rows["id"]:
        raise ValueError(f"there are no images for {path}")
    return rows


def _put(env: lmdb.Environment, batch: list[Item]) -> None:
    while True:
        try:
            with env.begin(write=True) as transaction:
                for item in batch:
                    transaction.put(_key(item.id), item.data, append=True)
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])


def _add_row(rows: dict[str, list], item: Item) -> None:
    rows["id"].append(item.id)
    rows["label"].append(item.label)
    rows["class_name"].append(item.class_name)
    rows["source"].append(item.source)
    rows["sha256"].append(hashlib.sha256(item.data).hexdigest())
    rows["objects"].append(item.objects)
    for name, value in item.more.items():
        rows[name].append(value)


def _write_manifest(
    part: Path, path: Path, table: tables.Table, rows: dict[str, list], provenance: dict[str, Any] | None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        tables.write(part, table, rows, provenance)
    except OSError as error:
        raise OSError(f"{path} cannot be written for {len(rows['id'])} images: {error}") from error


def _read_manifest(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        return tables.read(path, tables.MANIFEST, columns)
    except FileNotFoundError as error:
        raise ValueError(f"{path}, the manifest of the store {path.with_suffix('.lmdb')}, is missing") from error


def _open(path: Path) -> lmdb.Environment:
    if not path.is_file():
        raise ValueError(f"{path} is missing or no file; a store is made by the stage prep")
    key = (path.stat().st_dev, path.stat().st_ino)
    if (env := _OPEN.get(key)) is None:
        try:
            env = lmdb.open(str(path), **_READ_ONLY)
        except lmdb.Error as error:
            raise ValueError(f"{path} is not an LMDB file: {error}") from error
        _check_whole(env, path)
        _OPEN[key] = env
    return env


def _check_whole(env: lmdb.Environment, path: Path) -> None:
    """Compare size and header: reading past the end of a truncated file would kill the process."""
    needed, size = (env.info()["last_pgno"] + 1) * env.stat()["psize"], path.stat().st_size
    if size < needed:
        raise ValueError(f"{path} is truncated: it has {size} bytes of {needed}")


def _key(number: int) -> bytes:
    return b"%08d" % number
