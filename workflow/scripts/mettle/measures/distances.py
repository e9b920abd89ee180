"""Measures of the distances between images themselves: distance correlation, and the difference of two matrices."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import squareform

from mettle.measures.base import RIGID, Measure, centred, enough, one_of, paired, snap
from mettle.measures.rsa import half_squares, reordered_pairs
from mettle.scales import SCALES

_NORMS = ("frobenius", "spectral")


@dataclass(frozen=True)
class Distances:
    """
    Euclidean distances between the images of one model.

    Attributes
    ----------
    values : (n (n-1) / 2,) array
        In the order of `scipy.spatial.distance.pdist`.
    sums : (n,) array
        Sum of the distances from each image.
    norm : str
        Norm of the difference of two matrices of distances.
    """

    values: np.ndarray
    sums: np.ndarray
    norm: str = "frobenius"


def _distances(features: np.ndarray, norm: str = "frobenius") -> Distances:
    x = centred(features)  # distances do not depend on the origin, and rounding errors are smallest when it is near
    values = half_squares(x)
    values *= 2
    np.sqrt(values, out=values)
    return Distances(values, _sums(values, len(x)), norm)


def _sums(values: np.ndarray, n: int) -> np.ndarray:
    """Row sums (n,) of a symmetric matrix with a zero diagonal, from its upper half row by row."""
    found, done = np.zeros(n), 0
    for i in range(n - 1):
        row = values[done : done + n - 1 - i]
        found[i] += row.sum()
        found[i + 1 :] += row
        done += len(row)
    return found


def prepare(features: np.ndarray) -> Distances:
    """
    Distances between all images.

    Stores n(n-1)/2 numbers in float64: 400 MB for n = 10,000.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3, since any two models have a correlation of 1 on two images.

    Raises
    ------
    ValueError
        If there are fewer than 3 images.
    """
    enough(len(features), 3)
    return _distances(features)


def score(a: Distances, b: Distances) -> float:
    """
    Distance correlation of two models on the same images.

    Returns
    -------
    float
        In [0, 1]; 1 for features equal up to rotation, translation and scale. Independent features score well above 0
        when the width approaches the number of images.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Székely et al. 2007 (doi:10.1214/009053607000000505), definition 5: the square root of the correlation of the two
    matrices of distances, each with the means of its rows and columns subtracted.
    """
    paired(len(a.sums), len(b.sums))
    share = _covariance(a, b) / math.sqrt(_covariance(a, a) * _covariance(b, b))
    return snap(math.sqrt(max(share, 0)), 0.0, 1.0)


def _covariance(a: Distances, b: Distances) -> float:
    """Squared distance covariance times n^2, without the centred matrices."""
    n = len(a.sums)
    total = 2 * (a.values @ b.values)
    return float(total - 2 / n * (a.sums @ b.sums) + a.sums.sum() * b.sums.sum() / n**2)


def prepare_difference(features: np.ndarray, norm: str = "frobenius") -> Distances:
    """
    Distances between all images, whose scale counts.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.
    norm : {"frobenius", "spectral"}
        Norm of the difference of two matrices: root of the sum of squares, or largest absolute eigenvalue.

    Raises
    ------
    ValueError
        If `norm` is neither, or if there are fewer than 2 images.
    """
    one_of("norm", norm, _NORMS)
    enough(len(features), 2)
    return _distances(features, norm)


def score_difference(a: Distances, b: Distances) -> float:
    """
    Norm of the difference of two models' matrices of distances between images.

    Returns
    -------
    float
        At least 0, in units of the features; 0 for features equal up to rotation and translation. It grows with the
        number of images and with the scale of the features, so models of different scale are never alike.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), representational similarity matrices, norm of their difference. The code of
    the same authors (`resi`) takes the spectral norm, where its comment means the root of the sum of squares.
    """
    paired(len(a.sums), len(b.sums))
    apart = a.values - b.values
    if a.norm == "frobenius":
        return float(math.sqrt(2) * np.linalg.norm(apart))
    return _spectral(squareform(apart))


def _spectral(matrix: np.ndarray) -> float:
    """Largest absolute eigenvalue of a symmetric matrix."""
    n = len(matrix)
    if n < 50 or not matrix.any():  # so few that all are found at once
        return float(np.abs(np.linalg.eigvalsh(matrix)).max())
    start = np.random.default_rng(0).standard_normal(n)
    return float(np.abs(eigsh(matrix, k=1, which="LM", v0=start, return_eigenvectors=False))[0])


def _permute(state: Distances, order: np.ndarray) -> Distances:
    """The state of the images in another order."""
    return replace(state, values=reordered_pairs(state.values, order), sums=state.sums[order])


CORRELATION = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 3,
    scale=SCALES["distance_correlation"],
    invariances=RIGID,
    reference="Székely et al. 2007 (doi:10.1214/009053607000000505), definition 5",
    options={},
    permute=_permute,
)

DIFFERENCE = Measure(
    prepare=prepare_difference,
    score=score_difference,
    min_images=lambda width, **_: 2,
    scale=SCALES["rsm_norm_difference"],
    invariances=RIGID - {"isotropic scaling"},
    reference="Klabunde et al. 2025 (arXiv:2305.06329), RSM-based measures, norm of the difference",
    options={"norm": "frobenius"},
    permute=_permute,
)
