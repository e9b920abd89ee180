"""The targets beside the images of a store: how they are written, and read back by position."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.data import targets
from mettle.data.item import Item, Object
from mettle.data.keyed import Values, Writer, manifest_of, sha256_of
from mettle.data.pixels import size_of
from mettle.data.targets import KINDS, Expected

# Columns of the manifest that say which pixels of a depth map count.
_COUNTING = ("depth_min", "depth_max", "depth_crop")


def path_of(lmdb_path: str | Path) -> Path:
    """File with the targets of the images of a store: `{split}.targets.lmdb` beside `{split}.lmdb`."""
    return Path(lmdb_path).with_suffix(".targets.lmdb")


class TargetStore:
    """
    Targets of one split, read from `{split}.targets.lmdb` and the manifest beside it.

    Positions are those of the image store. It can be pickled and forked.

    Attributes
    ----------
    kinds : kinds of targets that every image has, some of `targets.KINDS`
    sizes : int64 (n, 2), height and width of each image
    class_names : names of the classes of label maps and objects, as far as the source or a list has them

    Raises
    ------
    ValueError
        If a file is missing, damaged, or something else, or if they differ in the number of images.
    """

    def __init__(self, lmdb_path: str | Path) -> None:
        self.path = path_of(lmdb_path)
        manifest = manifest_of(self.path)
        try:
            frame = tables.read(manifest, tables.DENSE_MANIFEST)
        except FileNotFoundError as error:
            raise ValueError(f"{manifest}, the manifest of {self.path}, is missing") from error
        self.ids = frame["id"].to_numpy(np.int64)
        self.sizes = frame[["height", "width"]].to_numpy(np.int64)
        self.class_names: list[str] = (frame.attrs["provenance"] or [{}])[-1].get("class_names", [])
        self._units = frame["depth_unit"].to_numpy(np.float64, na_value=np.nan)
        self._counting = frame[[name for name in _COUNTING if name in frame]]
        self._values = {
            kind: Values(self.path, self.ids, frame[f"{kind}_sha256"].to_numpy("S64"), kind.replace("_", " "), kind)
            for kind in KINDS.values()
            if frame[f"{kind}_sha256"].notna().any()
        }
        self.kinds = tuple(self._values)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.ids)

    def label_map(self, index: int) -> np.ndarray:
        """Class of each pixel of the image at a position, uint8 or uint16 (h, w)."""
        return targets.decode_label_map(self._get("label_map", index))

    def depth(self, index: int) -> np.ndarray:
        """Distance of each pixel in metres, float32 (h, w); 0 where there is none."""
        return targets.decode_depth(self._get("depth", index), self._units[index])

    def scored_depth(self, index: int) -> np.ndarray:
        """Distance in metres of each pixel that counts in evaluation, float32 (h, w); 0 elsewhere.

        Those count that are within the range of the data set and, where it has one, within the crop.

        Raises
        ------
        ValueError
            If the crop is larger than the map, or the store was packed before ranges were part of it.
        """
        metres = self.depth(index)
        if len(self._counting.columns) < len(_COUNTING):
            raise ValueError(f"{self.path} does not say which distances count: remove it, and pack the data set again")
        low, high, crop = (self._counting[name].iloc[index] for name in _COUNTING)
        counts = targets.in_range(metres, None if pd.isna(low) else (low, high))
        if crop is not None:
            counts &= _inside(crop, metres.shape, f"{self.path}, image {self.ids[index]}")
        return np.where(counts, metres, np.float32(0))

    def objects(self, index: int) -> list[Object]:
        """The objects in the image at a position."""
        return targets.decode_objects(self._get("objects", index))

    def masks(self, index: int) -> np.ndarray:
        """Masks of the objects in the image at a position, bool (objects, h, w); that of one without is its box."""
        return targets.masks_of(self.objects(index), tuple(self.sizes[index].tolist()))

    def _get(self, kind: str, index: int) -> bytes:
        if kind not in self._values:
            raise ValueError(f"{self.path} holds {', '.join(self.kinds)}, not {kind}")
        return self._values[kind].get(index)


def _inside(crop: Sequence[int], size: tuple[int, int], where: str) -> np.ndarray:
    """Mask of a crop, bool (h, w); ValueError if it ends outside."""
    top, bottom, left, right = crop
    if bottom > size[0] or right > size[1]:
        raise ValueError(
            f"{where}: depth_crop ends at row {bottom} and column {right}, but the depth map has {size[0]} rows and "
            f"{size[1]} columns: correct it in config/datasets.tsv"
        )
    inside = np.zeros(size, bool)
    inside[top:bottom, left:right] = True
    return inside


def put(writer: Writer, batch: Sequence[Item], expected: Expected, pool: Executor) -> list[dict[str, Any]]:
    """Check and write the targets of images; yields the cells of the manifest for each.

    Raises
    ------
    ValueError
        If an image's targets are not as expected; the message names the image.
    """
    encoded = list(pool.map(partial(_encoded, expected=expected), batch))
    for kind in expected.kinds:
        writer.put(((item.id, values[kind]) for item, (values, _) in zip(batch, encoded, strict=True)), kind)
    return [cells for _, cells in encoded]


def _encoded(item: Item, expected: Expected) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Bytes of each kind of an image's targets, and its cells of the manifest."""
    width, height = size_of(item.data)
    wanted = targets.only(item.targets, expected.kinds)
    targets.check(wanted, expected, (height, width), item.source)
    values = targets.encode(wanted, (height, width))
    hashes = {f"{kind}_sha256": sha256_of(values[kind]) if kind in values else None for kind in KINDS.values()}
    about = {"width": width, "height": height} | dict.fromkeys(("depth_unit", *_COUNTING))
    if "depth" in values:
        low, high = expected.depth_range or (None, None)
        about |= {"depth_unit": wanted.depth_unit, "depth_min": low, "depth_max": high}
        about |= {"depth_crop": expected.depth_crop}
    return values, about | hashes
