"""Counts of a packed split: sizes of images, and how often each class occurs."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mettle.data import Store, TargetStore
from mettle.data.pixels import size_of

_MOST = 2_000  # images that are read; more would take minutes and show the same


@dataclass
class Counts:
    """
    Counts over some images of a split.

    Attributes
    ----------
    n : images that sizes, pixels, objects and distances are counted on
    sizes : images by (width, height)
    images : images by class, of the labels of all images of the split
    pixels : pixels by value, of label maps
    objects : objects by class, crowds apart
    crowds : number of crowds
    empty : images without objects
    depth : shortest and longest distance, metres; None without depth maps
    unknown : fraction of pixels without a distance
    """

    n: int
    sizes: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)
    objects: Counter = field(default_factory=Counter)
    crowds: int = 0
    empty: int = 0
    depth: tuple[float, float] | None = None
    unknown: float = 0.0


def spread(n: int, wanted: int) -> list[int]:
    """Positions 0..n-1, or as many as are wanted at even steps: stores are often sorted by class."""
    return list(range(n)) if n <= wanted else [int(at) for at in (np.arange(wanted) + 0.5) * n / wanted]


def count(store: Store, targets: TargetStore | None) -> Counts:
    """Counts of a store, and of its targets where there are any."""
    places = spread(len(store), _MOST)
    found = Counts(len(places), images=Counter(store.labels[store.labels >= 0].tolist()))
    for index in places:
        found.sizes[size_of(store.data(index))] += 1
        if targets:
            _add(found, targets, index)
    found.unknown /= len(places)
    return found


def _add(found: Counts, targets: TargetStore, index: int) -> None:
    if "label_map" in targets.kinds:
        values, times = np.unique(targets.label_map(index), return_counts=True)
        found.pixels.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    if "objects" in targets.kinds:
        objects = targets.objects(index)
        found.objects.update(one.label for one in objects if not one.crowd)
        found.crowds += sum(one.crowd for one in objects)
        found.empty += not objects
    if "depth" in targets.kinds:
        depth = targets.depth(index)
        known = depth[depth > 0]
        low, high = found.depth or (np.inf, -np.inf)
        found.depth = min(low, float(known.min())), max(high, float(known.max()))
        found.unknown += 1 - known.size / depth.size
