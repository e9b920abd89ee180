"""Overlap of nearest neighbours."""

import numpy as np

from mettle.measures.base import centre as centred

BLOCK = 1024  # rows whose distances to all others are held at once
_SELF = {"exclude": np.inf, "include": -np.inf, "zero": 1.0}  # an image's distance to itself, see _nearest


def prepare(
    features: np.ndarray, k: int = 10, metric: str = "cosine", self_policy: str = "exclude", centre: bool = True
) -> np.ndarray:
    """The k nearest neighbours of every image, int64 (n, k), ascending; of equally near ones those with lower index.

    Parameters
    ----------
    features : (n, d)
    k : neighbours per image
    metric : `cosine` or `euclidean`
    self_policy : whether an image is a neighbour of itself: `exclude`; `include`, then always its first; or `zero`
        (cosine only), with similarity 0, so where fewer than k others have a positive one: Klabunde et al. 2025's code
    centre : subtract the mean feature first; matters for cosine only

    Raises
    ------
    ValueError
        If an option is out of range, or a feature vector is zero and thus has no direction.
    """
    if k < 1:
        raise ValueError(f"jaccard: k must be at least 1, got {k}")
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"jaccard: metric must be cosine or euclidean, got '{metric}'")
    if self_policy not in ("exclude", "include", "zero") or (self_policy == "zero" and metric != "cosine"):
        raise ValueError(
            f"jaccard: self_policy must be exclude, include, or zero with cosine, got '{self_policy}' with {metric}"
        )
    x = centred(features) if centre else features
    squares = np.einsum("ij,ij->i", x, x)
    if metric == "cosine":
        if zero := int((squares == 0).sum()):
            raise ValueError(f"jaccard: {zero} feature vectors are zero and have no cosine; use metric euclidean")
        x, squares = x / np.sqrt(squares)[:, None], np.ones(len(x))
    blocks = (slice(first, first + BLOCK) for first in range(0, len(x), BLOCK))
    return np.concatenate([_nearest(x, squares, block, k, _SELF[self_policy]) for block in blocks])


def score(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over images of size of intersection by size of union of the two neighbour sets, in [0, 1]; 1 is equality.

    Wang et al. 2020 (arXiv:2012.02156); Klabunde et al. 2025 (arXiv:2510.19427). Independent data give about k / (2 n).
    """
    n, k = a.shape
    row = np.arange(n)[:, None] * n
    shared = np.isin((a + row).ravel(), (b + row).ravel(), assume_unique=True).reshape(n, k).sum(axis=1)
    return float(np.mean(shared / (2 * k - shared)))


def min_images(k: int = 10, self_policy: str = "exclude", **options: object) -> int:
    """Fewest images: k neighbours for each."""
    return k + 1 if self_policy == "exclude" else k


def _nearest(x: np.ndarray, squares: np.ndarray, block: slice, k: int, own_distance: float) -> np.ndarray:
    # Squared distance less the row's own square: 1 - 2 cos for the unit vectors of cosine.
    distance = squares - 2 * (x[block] @ x.T)
    own = np.arange(len(x))[block]
    distance[np.arange(len(own)), own] = own_distance
    return np.sort(_smallest(distance, k), axis=1)


def _smallest(distance: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest entries per row; at the border, of equal entries those with lower index."""
    border = np.partition(distance, k - 1, axis=1)[:, k - 1 : k]
    below, equal = distance < border, distance == border
    free = k - below.sum(axis=1, keepdims=True)
    chosen = below | (equal & (np.cumsum(equal, axis=1) <= free))
    return np.nonzero(chosen)[1].reshape(len(distance), k)
