"""A sample of a store's positions, the same for the same seed."""

import numpy as np

from mettle.seeds import derive


def draw(n: int, sample: int, seed: int) -> np.ndarray:
    """Sorted positions of a sample without replacement; all n when the sample is no smaller."""
    if sample >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, sample, replace=False))


def shared(n: int, sample: int | None, seed: int | None, dataset: str) -> np.ndarray:
    """Sorted positions of the sample of a data set that every model is measured on; all n without a size."""
    return draw(n, sample, derive(seed, "sample", dataset)) if sample and sample < n else np.arange(n)


def subset(n: int, count: int, purpose: str) -> np.ndarray:
    """Positions of `count` of n images, ascending: random, but the same for every model and seed."""
    return np.sort(np.random.default_rng(derive(purpose)).permutation(n)[:count])
