"""Overlap of nearest neighbours."""

from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, centred, enough, one_of, paired, same, whole

_BLOCK = 2048  # images whose distances to all others are in memory at a time
_METRICS = ("cosine", "euclidean")
_SELF = {"exclude": np.inf, "include": -np.inf, "zero": 0.5}  # distance to itself, as `_neighbours` counts it


def min_images(k: int = 10, self_policy: str = "exclude", **_: Any) -> int:
    """Fewest images that leave every image `k` neighbours; ValueError if `k` is no count."""
    whole("k", k, 1)
    return k + 1 if self_policy == "exclude" else k


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
        Neighbours per image.
    metric : {"cosine", "euclidean"}
        Nearness: largest cosine, or smallest distance.
    self_policy : {"exclude", "include", "zero"}
        Whether an image is its own neighbour: never; always, which raises every score; or at a cosine of 0, so where
        fewer than k others have a positive one, as in the code of Klabunde et al. 2025 (arXiv:2510.19427).
    centre : bool
        Whether the mean is taken off first. Only matters to the cosine, which depends on the origin.

    Returns
    -------
    (n, k) int array
        Row i holds the neighbours of image i in rising order. Of equally near images the first ones count.

    Raises
    ------
    ValueError
        If an option has no meaning, if there are too few images for `k` neighbours, or if a row has no length and
        so no cosine.
    """
    one_of("metric", metric, _METRICS)
    one_of("self_policy", self_policy, _SELF if metric == "cosine" else ("exclude", "include"))
    one_of("centre", centre, (True, False))
    enough(len(features), min_images(k, self_policy))
    # distances do not depend on the origin, and are rounded least when it is near
    x = centred(features) if centre or metric == "euclidean" else np.asarray(features, dtype=np.float64)
    x = _directions(x) if metric == "cosine" else x
    return np.sort(_neighbours(x, k, _SELF[self_policy]), axis=1)


def _directions(x: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; ValueError for a row of no length."""
    lengths = np.linalg.norm(x, axis=1)
    bad = np.flatnonzero(lengths <= 1e-12 * lengths.max())
    if len(bad):
        raise ValueError(
            f"row {bad[0]} has length 0 (or less than 1e-12 of the longest), so no cosine; use metric 'euclidean'"
        )
    return x / lengths[:, None]


def _neighbours(x: np.ndarray, k: int, own: float) -> np.ndarray:
    """The k nearest rows of each row of `x`, in any order; `own` is the distance of a row to itself."""
    half = np.einsum("ij,ij->i", x, x) / 2
    nearest = np.empty((len(x), k), dtype=np.intp)
    for start in range(0, len(x), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(x)))
        distance = half - x[rows] @ x.T  # half the squared distance, up to a constant per row
        distance[rows - start, rows] = own
        nearest[rows] = _smallest(distance, k)
    return nearest


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest entries of each row; of equal entries the first columns."""
    columns = np.argpartition(values, k - 1, axis=1)[:, :k]
    largest = np.take_along_axis(values, columns, axis=1).max(axis=1)
    tied = np.flatnonzero((values <= largest[:, None]).sum(axis=1) > k)
    columns[tied] = np.argsort(values[tied], axis=1, kind="stable")[:, :k]
    return columns


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean Jaccard overlap of the neighbourhoods of two models.

    Parameters
    ----------
    a, b : (n, k) int arrays
        Neighbours from `prepare`, for the same images.

    Returns
    -------
    float
        In [0, 1]; 1 if every image has the same neighbours in both. Independent features give about k / (2n), and
        more if each image is its own neighbour.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), neighbourhood-based measures: the mean over images of the size of the
    intersection over the size of the union.
    """
    paired(len(a), len(b))
    both = np.sort(np.concatenate([a, b], axis=1), axis=1, kind="stable")
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return float(np.mean(shared / (both.shape[1] - shared)))


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    higher_is_alike=True,
    range=(0.0, 1.0),
    self_value=1.0,
    invariances=RIGID,
    label="Jaccard (kNN)",
    display=same,
    reference="Klabunde et al. 2025 (arXiv:2305.06329), neighbourhood-based measures, k-NN Jaccard similarity",
    options={"k": 10, "metric": "cosine", "self_policy": "exclude", "centre": True},
)
