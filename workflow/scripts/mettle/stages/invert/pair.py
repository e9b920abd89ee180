"""Seeds and targets of inversion, shared by all models of a data set: drawn once, or as published lists have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle.data.sample import draw
from mettle.data.store import Store
from mettle.seeds import derive


def pairs(store: Store, n: int, seed: int, keys: dict[str, Any]) -> dict[str, Any]:
    """Columns of the pairs table, in ascending order of the targets.

    Targets are drawn without replacement, the seed of each uniformly among all images of another class (Klabunde et al.
    2025).

    Parameters
    ----------
    store : held-out images
    n : number of targets; all images if there are no more
    seed : seed of the run; with the data set it decides what is drawn
    keys : dataset, split

    Raises
    ------
    ValueError
        If the images are all of one class.
    """
    if len(set(store.labels.tolist())) < 2:
        raise ValueError(
            f"{store.path}: a seed is of another class than its target, but the images of {keys['dataset']} "
            f"({len(store)} in all) are of one class"
        )
    targets = draw(len(store), n, derive(seed, "targets", keys["dataset"]))
    rng = np.random.default_rng(derive(seed, "seeds", keys["dataset"]))
    seeds = _of_another_class(store.labels, targets, rng)
    columns = {
        "id": store.ids[targets],
        "label": store.labels[targets],
        "seed_id": store.ids[seeds],
        "seed_label": store.labels[seeds],
    }
    return {key: [value] * len(targets) for key, value in keys.items()} | columns


def _of_another_class(labels: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One position for each target, uniform among those with another label.

    Sorted by label, the images of a class are a block: a number below that of all others, raised by the length of the
    block if it reaches the block, is uniform among the others.
    """
    order = np.argsort(labels, kind="stable")
    block = [np.searchsorted(labels[order], labels[targets], side) for side in ("left", "right")]
    length = block[1] - block[0]
    drawn = rng.integers(len(labels) - length)
    return order[drawn + length * (drawn >= block[0])]


def listed(
    store: Store, targets: str | Path | None, seeds: str | Path, order: str, keys: dict[str, Any]
) -> dict[str, Any]:
    """Columns of the pairs table in ascending order of the targets, as two lists have them.

    Parameters
    ----------
    store : held-out images
    targets, seeds : lists of positions as pandas writes a frame of one column: a head, then the number of the row and
        the position, from 0; without targets, all images in order
    order : what positions count: `store`, the images in the order of the store, or `name`, by the names of their files
    keys : dataset, split

    Raises
    ------
    ValueError
        If a list cannot be read, the two differ in length, a target appears twice, or a seed is of its target's class.
    """
    wanted, begun = places(targets, store, order), places(seeds, store, order)
    if len(wanted) != len(begun):
        raise ValueError(f"{seeds} has {len(begun)} seeds for {len(wanted)} targets")
    if len(set(wanted.tolist())) < len(wanted):
        raise ValueError(f"{targets} has a target twice")
    if (same := store.labels[wanted] == store.labels[begun]).any():
        raise ValueError(
            f"{seeds}: {same.sum()} of {len(same)} seeds are of their target's class, the first that of target "
            f"{store.ids[wanted[same]][0]}: check `order` of invert.lists"
        )
    rank = np.argsort(wanted)
    wanted, begun = wanted[rank], begun[rank]
    columns = {"id": store.ids[wanted], "label": store.labels[wanted]}
    columns |= {"seed_id": store.ids[begun], "seed_label": store.labels[begun]}
    return {key: [value] * len(wanted) for key, value in keys.items()} | columns


def places(path: str | Path | None, store: Store, order: str) -> np.ndarray:
    """Positions in a store that a list names; without a list, all of them in order."""
    numbers = np.arange(len(store)) if path is None else _numbers(path)
    if len(wrong := numbers[(numbers < 0) | (numbers >= len(store))]):
        raise ValueError(f"{path} names image {wrong[0]}, but {store.path} has 0 to {len(store) - 1}")
    if order == "store":
        return numbers
    names = [Path(source).name for source in store.manifest()["source"]]
    return np.argsort(names, kind="stable")[numbers]


def _numbers(path: str | Path) -> np.ndarray:
    frame = pd.read_csv(path)
    if frame.columns[-1] != "0" or not pd.api.types.is_integer_dtype(frame.iloc[:, -1]):
        raise ValueError(
            f"{path} is no list of positions: its last column should be integers under the head 0, as pandas writes a "
            f"frame of one column, but it is '{frame.columns[-1]}'"
        )
    return frame.iloc[:, -1].to_numpy(np.int64)
