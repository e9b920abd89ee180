"""What unrelated models score, and scores calibrated against it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mettle.measures import calibration
from mettle.measures.base import check, integer, paired
from mettle.measures.calibration import Calibration
from mettle.measures.registry import compare, get, prepare, prepared


def floor(name: str, n: int, p: int, q: int, seed: int, /, **options: Any) -> float:
    """
    Score independent features: the score of unrelated models of this size.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    n, p, q : int
        Number of images, and widths of the two models; features are standard normal.
    seed : int
        Seed of the features.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    float
        Raw value of one draw. Real features vary in fewer directions than they have columns, so scores of unrelated
        networks often differ from this value by more than chance: see `baseline`.
    """
    rng = np.random.default_rng(seed)
    return compare(name, *(rng.standard_normal((n, d), dtype=np.float32) for d in (p, q)), **options)


def baseline(name: str, x: Any, y: Any, seed: int, /, draws: int = 1, **options: Any) -> float:
    """
    Score two models with the images of the second in random order: the score due to their spread alone.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    x, y : (n, p) and (n, q) arrays
        Features of two models; row i of both comes from image i.
    seed : int
        Seed of the permutations.
    draws : int
        Number of permutations, at least 1.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    float
        Mean raw value over the draws.

    Raises
    ------
    ValueError
        If `draws` is not a whole number of at least 1, and whatever `compare` raises.
    """
    return float(np.mean(_null(name, x, y, seed, draws, options)[1]))


def calibrate(
    name: str, x: Any, y: Any, seed: int, /, draws: int = 200, level: float = 0.05, **options: Any
) -> Calibration:
    """
    Score two models, and calibrate the score against those with the images of the second in random orders.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    x, y : (n, p) and (n, q) arrays
        Features of two models; row i of both comes from image i.
    seed : int
        Seed of the orders.
    draws : int
        Number of orders, at least 1 / level - 1.
    level : float
        Chance that the score of independent models is calibrated to more than 0.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    Calibration
        Score, p-value, threshold, and the calibrated score in [0, 1].

    Raises
    ------
    ValueError
        If the measure does not depend on which image is which, if there are too few draws for the level, and whatever
        `compare` raises.
    """
    if not get(name).scale.by_image:
        raise ValueError(f"{name} does not depend on which image is which, so it cannot be calibrated by permutations")
    value, null = _null(name, x, y, seed, draws, options)
    return calibration.calibrate(get(name).scale, value, null, level)


def _null(name: str, x: Any, y: Any, seed: int, draws: int, options: Mapping[str, Any]) -> tuple[float, list[float]]:
    """The score of two models, and scores with the images of the second in random orders."""
    measure = get(name)
    integer("draws", draws, 1)
    x, y = check(x, "x"), check(y, "y")
    paired(len(x), len(y))
    first, second = prepared(name, x, "x", options), prepared(name, y, "y", options)
    rng = np.random.default_rng(seed)
    orders = (rng.permutation(len(y)) for _ in range(draws))
    null = [measure.score(first, permuted(name, second, y, order, who="y", **options)) for order in orders]
    return measure.score(first, second), null


def permuted(name: str, state: Any, features: Any, order: np.ndarray, *, who: str = "features", **options: Any) -> Any:
    """
    One model's state with its images in another order, from the state itself where the measure allows.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    state : object
        What `prepare` returned.
    features : (n, d) array
        What it was made from.
    order : (n,) int array
        Place of the image that comes first, second, ...
    who : str
        Name of the features in messages.
    **options
        Options of the measure.

    Returns
    -------
    object
        What `prepare` returns for ``features[order]``, up to rounding.
    """
    permute = get(name).permute
    found = permute(state, order) if permute else None
    return prepare(name, np.asarray(features)[order], who=who, **options) if found is None else found
