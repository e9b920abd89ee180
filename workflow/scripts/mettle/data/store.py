"""
The image store: encoded images in one LMDB file, and beside it a parquet manifest with one row per image.

Targets that are more than a label lie in a second LMDB file (`mettle.data.targets`). The manifest holds the SHA-256 of
every image and target, and every read is checked against it (`mettle.data.keyed`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mettle import tables
from mettle.data import target_store
from mettle.data.item import Item, decode, decode_array
from mettle.data.keyed import Values, Writer, sha256_of, writing
from mettle.data.targets import NONE, Expected
from mettle.files import atomic

_BATCH = 256  # images per transaction: LMDB holds a transaction's pages in memory until it is committed
_READ = ["id", "label", "class_name", "sha256"]  # columns of the manifest that a store keeps in memory


def write(
    lmdb_path: str | Path,
    manifest_path: str | Path,
    items: Iterable[Item],
    *,
    classes: int | None = None,
    table: tables.Table = tables.MANIFEST,
    expected: Expected = NONE,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[Iterable[Item]], Iterable[Item]] | None = None,
) -> int:
    """Write images as a store, atomically, the manifest last.

    Ids count the images from 0 in the order given, unless the images bring their own. If anything fails, nothing new
    remains and an earlier store of the same name is kept. If images and manifest equal those of an earlier store, its
    manifest is kept, byte for byte.

    Parameters
    ----------
    lmdb_path, manifest_path : `{split}.lmdb` and `{split}.parquet` in one folder, which is made
    items : the images
    classes : number of classes; None takes any label from 0
    table : of the manifest: `tables.MANIFEST`, or one that extends it by what the images bring in `more`;
        `tables.DENSE_MANIFEST` where targets are expected
    expected : the targets that every image brings, which are written to `{split}.targets.lmdb`
    provenance : what made the images; `flow.job` gives it
    progress : wraps the iterable and shows how far it is, as `tqdm` does

    Returns
    -------
    Number of images written.

    Raises
    ------
    ValueError
        If there is no image, a label is out of range, two names are given to one class, ids do not increase, or the
        targets of an image are not what is expected.
    OSError
        If a file cannot be written, for example because the disk is full.
    """
    lmdb_path, manifest_path = Path(lmdb_path), Path(manifest_path)
    items = _checked(progress(items) if progress else items, classes)
    with atomic(manifest_path, partial(tables.alike, table=table)) as manifest, ExitStack() as files:
        beside = files.enter_context(_file(target_store.path_of(lmdb_path))) if expected.kinds else None
        images = files.enter_context(_file(lmdb_path))
        rows = _write_images(items, images, beside, expected, table)
        if not rows["id"]:
            raise ValueError(f"there are no images for {lmdb_path}")
        _write_manifest(manifest, manifest_path, table, rows, provenance)
    return len(rows["id"])


class Store:
    """
    Images of one split, read from its LMDB file and the manifest beside it.

    A store can be pickled and forked: a worker process opens the file for itself.

    Attributes
    ----------
    ids : int64 (n,), the ids in the order of the manifest
    labels : int64 (n,), class index of each image; -1 where it has no label
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
        self.labels = frame["label"].to_numpy(np.int64, na_value=-1)
        names = dict(zip(self.labels.tolist(), frame["class_name"], strict=True))
        self.class_names = [names.get(label, str(label)) for label in range(max(names, default=-1) + 1)]
        self._sha256 = frame["sha256"].to_numpy("S64")
        self._images = Values(self.path, self.ids, self._sha256, "image")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.ids)

    @property
    def digest(self) -> str:
        """Hash over all ids, labels and images: equal for equal data."""
        parts = (self.ids, self.labels, self._sha256)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def manifest(self) -> pd.DataFrame:
        """One row per image in the order of the positions, with the columns of `tables.MANIFEST` but `objects`."""
        return _read_manifest(self.path.with_suffix(".parquet"), [*_READ, "source"])

    def sizes(self) -> np.ndarray:
        """Height and width of every image (n, 2), in pixels; of stores with targets beyond a label."""
        found = tables.read(self.path.with_suffix(".parquet"), tables.DENSE_MANIFEST, ["height", "width"])
        return found.to_numpy(np.int64)

    def position(self, number: int) -> int:
        """Position of the image with this id; ValueError if there is none."""
        found = np.flatnonzero(self.ids == number)
        if not len(found):
            raise ValueError(f"{self.path} holds no image with id {number}")
        return int(found[0])

    def sha256(self, index: int) -> str:
        """SHA-256 of the encoded image at a position (not an id)."""
        return self._sha256[index].decode()

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
        return self._images.get(index)

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
        with ThreadPoolExecutor(threads) as pool:  # the decoders release the interpreter
            list(pool.map(lambda part: self._fill(images, indices, part), parts))
        return images

    def _fill(self, images: np.ndarray, indices: Sequence[int], places: range) -> None:
        """Decode the images at some of these positions into their places."""
        for place, data in zip(places, self._images.read(indices[place] for place in places), strict=True):
            found = decode_array(data, images[place])
            if found.shape != images.shape[1:]:
                sizes = f"{images.shape[1:3]} and {found.shape[:2]}"
                raise ValueError(f"{self.path}: images differ in size, {sizes} for example; one array needs one size")


def _checked(items: Iterable[Item], classes: int | None) -> Iterator[Item]:
    names: dict[int, str] = {}
    for item in _numbered(items):
        if item.label is None:
            yield item
            continue
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


@contextmanager
def _file(path: Path) -> Iterator[Writer]:
    """A writer of a file under a temporary name; the file becomes the path's if nothing fails."""
    with atomic(path) as part, writing(part, path) as writer:
        yield writer


def _write_images(
    items: Iterator[Item], images: Writer, beside: Writer | None, expected: Expected, table: tables.Table
) -> dict[str, list]:
    """Write images and their targets in batches; columns of the manifest."""
    rows: dict[str, list] = {name: [] for name in table.columns}
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(items, _BATCH)):
            images.put((item.id, item.data) for item in batch)
            cells = target_store.put(beside, batch, expected, pool) if beside else [{}] * len(batch)
            for item, more in zip(batch, cells, strict=True):
                _add_row(rows, item, more)
    return rows


def _add_row(rows: dict[str, list], item: Item, more: dict[str, Any]) -> None:
    known = {key: getattr(item, key) for key in ("id", "label", "source", "objects")}
    known |= {"class_name": None if item.label is None else item.class_name, "sha256": sha256_of(item.data)}
    for name, value in {**known, **item.more, **more}.items():
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


def check_labels(store: Store, classes: int) -> None:
    """Raise ValueError for a label that is none of so many classes."""
    wrong = store.labels[(store.labels < 0) | (store.labels >= classes)]
    if len(wrong):
        raise ValueError(f"{store.path} holds label {wrong[0]}, but labels of {classes} classes are 0 to {classes - 1}")
