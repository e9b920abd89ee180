"""Seeds and targets of inversion, drawn once per data set and shared by all models."""

from typing import Any

import numpy as np

from mettle.data.sample import draw
from mettle.data.store import Store
from mettle.flow import derive


def pairs(store: Store, images: int, seed: int, keys: dict[str, Any]) -> dict[str, Any]:
    """Columns of the pairs table, in ascending order of the targets.

    Targets are drawn without replacement, the seed of each uniformly among all images of another class (Klabunde et al.
    2025).

    Parameters
    ----------
    store : held-out images
    images : number of targets; all images if there are no more
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
    targets = draw(len(store), images, derive(seed, "targets", keys["dataset"]))
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
    block where it reaches it, falls on each of the others with equal chance.
    """
    order = np.argsort(labels, kind="stable")
    block = [np.searchsorted(labels[order], labels[targets], side) for side in ("left", "right")]
    length = block[1] - block[0]
    drawn = rng.integers(len(labels) - length)
    return order[drawn + length * (drawn >= block[0])]
