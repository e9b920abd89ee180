"""Stores of corrupted images, which every model is evaluated on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mettle import data
from mettle.data.corrupted import items, views
from mettle.data.sample import shared
from mettle.typed import Corruptions


def write(
    clean: str | Path,
    lmdb_path: str | Path,
    manifest_path: str | Path,
    options: Corruptions,
    dataset: str,
    seed: int,
    *,
    provenance: dict[str, Any] | None = None,
    progress: Callable | None = None,
) -> int:
    """Write the images of a store under one corruption, with their ids and labels; returns their number.

    Parameters
    ----------
    clean : store of the clean images
    lmdb_path, manifest_path : files to write
    options : of the set of corruptions, with one type and one severity
    dataset : data set of the store; samples are drawn per data set
    seed : of sample and corruptions
    provenance, progress : see `mettle.data.write`
    """
    store = data.Store(clean)
    positions = shared(len(store), options["images"], seed, dataset)
    (view,) = views(store, options, seed)
    progress = progress and partial(progress, total=len(positions))
    return data.write(lmdb_path, manifest_path, items(view, positions), provenance=provenance, progress=progress)
