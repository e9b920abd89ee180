"""Representational similarity analysis: correlation of the distances between images."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mettle.measures.base import Measure, centred, enough, integer, one_of, snap, squares
from mettle.measures.rtd import subsamples
from mettle.scales import SCALES

_DISTANCES = ("correlation", "cosine", "euclidean")
_CORRELATIONS = ("spearman", "pearson")
_DIGITS = 12  # decimal places of `half_squares` that are kept; further ones are rounding errors
_BLOCK = 1024  # images whose distances to all later ones are in memory at a time


@dataclass(frozen=True)
class Dissimilarities:
    """
    One model's part of RSA.

    Attributes
    ----------
    rows : (m,) int array
        Images that are used.
    values : (m (m-1) / 2,) array
        Distances between them, or their ranks, centred, of norm 1; in the order of `scipy.spatial.distance.pdist`.
    """

    rows: np.ndarray
    values: np.ndarray


def min_images(width: int, points: int | None = None, **_: Any) -> int:
    """Three, or `points`; ValueError if `points` is not a whole number of at least 3."""
    if points is None:
        return 3
    integer("points", points, 3)
    return points


def prepare(
    features: np.ndarray,
    distance: str = "correlation",
    correlation: str = "spearman",
    points: int | None = None,
    seed: int = 0,
) -> Dissimilarities:
    """
    Distances between all images, ready to be correlated.

    Stores n(n-1)/2 numbers in float64: 400 MB for n = 10,000, where ranking takes another 3 GB for most of a minute.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3.
    distance : {"correlation", "cosine", "euclidean"}
        Distance between two images: one minus the correlation of their feature vectors over units; one minus their
        cosine; or the length of their difference.
    correlation : {"spearman", "pearson"}
        Correlation of the distances in two models: of their ranks, or of the distances themselves.
    points : int or None
        Number of images to use, the same ones for all models with n images; None for all.
    seed : int
        Seed for drawing them.

    Raises
    ------
    ValueError
        If an option is invalid, if there are too few images, if all distances are equal, or if a row has length 0 (for
        "correlation", is constant over units), so that its distances are undefined.
    """
    one_of("distance", distance, _DISTANCES)
    one_of("correlation", correlation, _CORRELATIONS)
    integer("seed", seed, 0)
    n = len(features)
    enough(n, min_images(features.shape[1], points))
    rows = np.arange(n) if points is None else subsamples(n, points, 1, seed)[0]
    found = half_squares(vectors(np.asarray(features)[rows], distance))
    if correlation == "spearman":  # distances that only differ by rounding, as between copies of an image, are equal
        values = rankdata(np.round(found, _DIGITS, out=found))
    else:
        values = np.sqrt(2 * found) if distance == "euclidean" else found
    return Dissimilarities(rows, _standardised(values))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Values centred and scaled to norm 1; ValueError if they are all equal."""
    x = values - values.mean()
    size = np.linalg.norm(x)
    if size <= 1e-12 * np.linalg.norm(values):
        raise ValueError("RSA is undefined: all distances between images are equal")
    x /= size
    return x


def half_squares(x: np.ndarray) -> np.ndarray:
    """
    Half the squared distances between all rows of `x` (n, d); for rows of length 1, one minus their cosines.

    Returns
    -------
    (n (n-1) / 2,) array
        In the order of `scipy.spatial.distance.pdist`.
    """
    half = squares(x) / 2
    found, done = np.empty(len(x) * (len(x) - 1) // 2), 0
    for start in range(0, len(x), _BLOCK):
        block = half[start : start + _BLOCK, None] + half[start:] - x[start : start + _BLOCK] @ x[start:].T
        for i, row in enumerate(block):
            later = row[i + 1 :]
            found[done : done + len(later)] = later
            done += len(later)
    return np.maximum(found, 0, out=found)


def reordered_pairs(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Numbers of all pairs of images (n (n-1) / 2,), as from `half_squares`, for the images in another order."""
    n, done = len(order), 0
    found = np.empty_like(values)
    for i in range(n - 1):
        first, second = np.minimum(order[i], order[i + 1 :]), np.maximum(order[i], order[i + 1 :])
        found[done : done + n - 1 - i] = values[first * (2 * n - first - 3) // 2 + second - 1]
        done += n - 1 - i
    return found


def vectors(features: np.ndarray, distance: str) -> np.ndarray:
    """
    Vectors in float64, none longer than 1, whose `half_squares` are the distances or give them.

    Raises
    ------
    ValueError
        If a row has no direction, which the distance needs.
    """
    x = np.asarray(features, dtype=np.float64)
    if distance == "euclidean":
        x = centred(x)  # distances do not depend on the origin, and rounding errors are smallest when it is near
        return x / max(np.linalg.norm(x, axis=1).max(), np.finfo(float).tiny)
    whole_length = np.linalg.norm(x, axis=1)
    x = x - x.mean(axis=1, keepdims=True) if distance == "correlation" else x
    length = np.linalg.norm(x, axis=1)
    bad = np.flatnonzero(length <= 1e-12 * whole_length)
    if len(bad):
        reason = "is the same in every unit" if distance == "correlation" else "has length 0"
        raise ValueError(f"row {bad[0]} {reason}, so it has no {distance}; use distance 'euclidean'")
    return x / length[:, None]


def score(a: Dissimilarities, b: Dissimilarities) -> float:
    """
    Correlation of the distances between images in two models.

    Returns
    -------
    float
        In [-1, 1]; 1 if the distances of both models have the same order (Pearson: are linearly related), 0 on average
        for independent features.

    Raises
    ------
    ValueError
        If the images differ.

    Notes
    -----
    Kriegeskorte et al. 2008 (doi:10.3389/neuro.06.004.2008): dissimilarity is one minus the correlation of activity
    patterns, and dissimilarity matrices are compared by the correlation of their upper triangles.
    """
    if not np.array_equal(a.rows, b.rows):
        raise ValueError("RSA needs the same images for both models: same number of images, points and seed")
    return snap(a.values @ b.values, -1.0, 1.0)


def _permute(state: Dissimilarities, order: np.ndarray) -> Dissimilarities | None:
    """The state of the images in another order, if it is of all images in order."""
    if not np.array_equal(state.rows, np.arange(len(order))):
        return None
    return replace(state, values=reordered_pairs(state.values, order))


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["rsa"],
    invariances=frozenset({"isotropic scaling", "permutation"}),
    reference="Kriegeskorte et al. 2008 (doi:10.3389/neuro.06.004.2008)",
    options={"distance": "correlation", "correlation": "spearman", "points": None, "seed": 0},
    permute=_permute,
)
