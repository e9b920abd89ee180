"""Nearest neighbours of every image, computed once per model, for the measures that compare neighbourhoods."""

from typing import Any

import numpy as np

from mettle.measures.base import centred, enough, integer, one_of, rounding, squares

OPTIONS = {"k": 10, "metric": "cosine", "self_policy": "exclude", "centre": True}
_BLOCK = 256  # images whose distances to all others are in memory at a time
_NUMBERS = 1 << 18  # numbers on each side of the pairs whose distances are computed one by one, to fit the cache
_ONE_BY_ONE = 64  # cost of a distance computed one by one, relative to one in a matrix product
_METRICS = ("cosine", "euclidean")
_SELF = {"exclude": np.inf, "include": -np.inf, "zero": 0.5}  # distance to itself, in the units of `nearest`


def min_images(width: int, k: int = 10, self_policy: str = "exclude", **_: Any) -> int:
    """The smallest number of images for which every image has `k` neighbours, and at least three.

    Raises ValueError if `k` is not a whole number of at least 1, or of at least 2 if images are their own neighbours.
    """
    integer("k", k, 2 if self_policy == "include" else 1)
    return max(k + 1 if self_policy == "exclude" else k, 3)


def prepare(
    features: np.ndarray, k: int = 10, metric: str = "cosine", self_policy: str = "exclude", centre: bool = True
) -> np.ndarray:
    """
    Nearest neighbours of every image.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i.
    k : int
        Neighbours per image; at least 2 if the image itself is always one of them.
    metric : {"cosine", "euclidean"}
        The nearest images have the largest cosine, or the smallest distance.
    self_policy : {"exclude", "include", "zero"}
        Whether an image is its own neighbour: never; always, which raises every score; or with a cosine of 0, that is
        if fewer than k others have a positive cosine, as in the code of Klabunde et al. 2025 (arXiv:2510.19427).
    centre : bool
        Whether to subtract the mean first. This only matters for the cosine, which depends on the origin.

    Returns
    -------
    (n, k) int array
        Row i holds the neighbours of image i, nearest first; ties go to the first image.

    Raises
    ------
    ValueError
        If an option is invalid, if there are too few images for `k` neighbours, or if a row has length 0, so that its
        cosine is undefined.
    """
    one_of("metric", metric, _METRICS)
    one_of("self_policy", self_policy, _SELF if metric == "cosine" else ("exclude", "include"))
    one_of("centre", centre, (True, False))
    enough(len(features), min_images(features.shape[1], k, self_policy))
    # distances do not depend on the origin, and rounding errors are smallest when it is near
    x = centred(features) if centre or metric == "euclidean" else np.asarray(features, dtype=np.float64)
    return nearest(directions(x, "; use metric 'euclidean'") if metric == "cosine" else x, k, _SELF[self_policy])


def directions(x: np.ndarray, advice: str = "") -> np.ndarray:
    """Rows (n, d) scaled to length 1; ValueError, ending with `advice`, if a length is zero up to rounding."""
    lengths = np.linalg.norm(x, axis=1)
    least = rounding(x.dtype)
    bad = np.flatnonzero(lengths <= least * lengths.max())
    if len(bad):
        raise ValueError(f"row {bad[0]} has length 0 (or below {least:g} of the longest), so it has no cosine{advice}")
    return x / lengths[:, None]


def nearest(x: np.ndarray, k: int, own: float) -> np.ndarray:
    """
    The k nearest rows of each row.

    Products in float32 select candidates, or products in float64 if those leave too many. Distances in float64,
    computed one by one, decide among the candidates.

    Parameters
    ----------
    x : (n, d) float64 array
    k : int
        At most n.
    own : float
        Distance of a row to itself; the distance of row a to row b is half the squared length of b minus a'b.

    Returns
    -------
    (n, k) int array
        Nearest first; ties go to the first row.
    """
    x = x / np.sqrt(squares(x).max())
    half, single = squares(x) / 2, x.astype(np.float32)
    found = np.empty((len(x), k), dtype=np.intp)
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(x)))
        near = _candidates(single, half, rows, k, own)
        if np.count_nonzero(near) > len(near) * (2 * k + len(x) / _ONE_BY_ONE):  # too many
            near = _candidates(x, half, rows, k, own)
        a, b = np.nonzero(near)
        exact = np.where(a + start == b, own, half[b] - _products(x, a + start, b))
        order = np.lexsort((exact, a))
        first = np.searchsorted(a, np.arange(len(near)))
        found[rows] = b[order[first[:, None] + np.arange(k)]]
    return found


def _candidates(x: np.ndarray, half: np.ndarray, rows: slice, k: int, own: float) -> np.ndarray:
    """
    Which rows may be among the k nearest of the given `rows`, (rows, n) bool.

    With rows of length at most 1 and unit roundoff u, the error of a distance is less than (d + 8) u. So k rows lie
    within the k-th computed distance plus that error, and the k nearest have computed distances within it plus twice
    that error.
    """
    rough = x[rows] @ x.T
    np.subtract(half.astype(x.dtype), rough, out=rough)
    np.fill_diagonal(rough[:, rows], own)
    slack = (x.shape[1] + 8) * np.finfo(x.dtype).eps  # eps is 2 u
    return rough <= (_at_least_smallest(rough, k) + slack)[:, None]


def _at_least_smallest(values: np.ndarray, k: int) -> np.ndarray:
    """For each row, a bound that holds for at least `k` entries and not many more."""
    n = values.shape[1]
    width = max(1, n // (8 * k))  # minima of 8k groups: the k-th is hardly above the k-th of all entries
    groups = n // width
    least = values[:, : groups * width].reshape(len(values), groups, width).min(axis=2)
    return np.partition(least, k - 1, axis=1)[:, k - 1]


def _products(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of the rows `a` and `b` of `x`, pair by pair; equal rows give equal products."""
    step = max(1, _NUMBERS // x.shape[1])
    return np.concatenate([np.vecdot(x[a[i : i + step]], x[b[i : i + step]]) for i in range(0, len(a), step)])


def permute(neighbours: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Nearest neighbours (n, k) of the images in another order."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places[neighbours[order]]


def overlap(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Common neighbours of each image in two models.

    Parameters
    ----------
    a, b : (n, k) int arrays
        Neighbours from `prepare`.

    Returns
    -------
    count : (n,) int array
        Number of common neighbours.
    nearness : (n,) array
        Sum over them of 2 / ((1 + |r - s|) (r + s)), with ranks r and s that start from 1.
    """
    k = a.shape[1]
    both = np.concatenate([a, b], axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    both = np.take_along_axis(both, order, axis=1)
    common = both[:, 1:] == both[:, :-1]
    r, s = order[:, :-1] + 1, order[:, 1:] - k + 1
    terms = np.where(common, 2 / ((1 + np.abs(r - s)) * np.where(common, r + s, 1)), 0)
    return common.sum(axis=1), terms.sum(axis=1)
