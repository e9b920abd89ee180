"""Example images under every corruption, for people to look at."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mettle.data.corrupted import views
from mettle.data.preview import thumbnail
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.plan.corrupted import CLEAN, conditions
from mettle.typed import Corruptions

_LARGEST = 256  # pixels of the longer side


def shown(
    clean: str | Path,
    dataset: str,
    options: Corruptions,
    seed: int,
    progress: Callable[[Iterable, str], Iterable] = lambda items, text: items,
) -> list[dict[str, Any]]:
    """Rows of the table `examples`: every image clean, then under each condition.

    Parameters
    ----------
    clean : store of the clean images
    dataset : its data set
    options : types, severities, and the number of images
    seed : of the choice of images and of the corruptions
    progress : wraps the conditions
    """
    store = Store(clean)
    positions = shared(len(store), options["images"], seed, dataset)
    asked, seen = conditions(options), views(store, options, seed)
    (clean,) = views(store, options | {"types": [CLEAN], "severities": [0]}, seed)
    before = [np.asarray(clean.image(index)) for index in positions]
    rows = [_row(dataset, store, (CLEAN, 0), *pair) for pair in zip(positions, before, before, strict=True)]
    for condition, view in progress(list(zip(asked, seen, strict=True)), "corruptions"):
        after = [np.asarray(view.image(index)) for index in positions]
        rows += [_row(dataset, store, condition, *triple) for triple in zip(positions, before, after, strict=True)]
    return rows


def _row(
    dataset: str, store: Store, condition: tuple[str, int], index: int, before: np.ndarray, after: np.ndarray
) -> dict[str, Any]:
    kind, severity = condition
    found = psnr(before, after)
    return {
        "dataset": dataset,
        "corruption": kind,
        "severity": severity,
        "measure": "psnr",
        "id": int(store.ids[index]),
        "n": 1,
        "value": found,
        "lo": None,
        "hi": None,
        "note": "the image is unchanged" if found is None else None,
        "image": thumbnail(after, _LARGEST),
    }


def psnr(before: np.ndarray, after: np.ndarray) -> float | None:
    """Peak signal-to-noise ratio of two images of 8 bits in dB; None for equal ones, where it is infinite."""
    error = np.square(before.astype(np.float64) - after).mean()
    return float(10 * np.log10(255**2 / error)) if error else None
