"""Intrinsic multi-scale distance (IMD): how heat spreads over the graph of nearest neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.special import ive

from mettle.measures.base import RIGID, Measure, centred, enough, integer, paired
from mettle.measures.neighbours import nearest
from mettle.scales import SCALES

TIMES = np.logspace(-1, 1, 256)  # at which heat traces are compared
_WEIGHTS = np.exp(-2 * (TIMES + 1 / TIMES))
_UNIT = 1e6  # scores are in millionths, as in the authors' code
_HALF = 24  # the heat kernel of time 10 needs Chebyshev polynomials below degree 48: the next have weights below 1e-20
_BLOCK = 256  # columns of the polynomials that are in memory at a time


@dataclass(frozen=True)
class Heat:
    """Heat trace of one model, (256,), per image, at `TIMES`; and the number of images."""

    trace: np.ndarray
    images: int


def min_images(width: int, k: int = 5, **_: Any) -> int:
    """Four times k + 1: with few images, many features have the same graph. ValueError unless `k` is at least 1."""
    integer("k", k, 1)
    return 4 * (k + 1)


def prepare(features: np.ndarray, k: int = 5) -> Heat:
    """
    Heat trace of the graph of nearest neighbours.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 4 (k + 1).
    k : int
        Each image is linked to its k nearest, by Euclidean distance, and to those of whose nearest it is one.

    Raises
    ------
    ValueError
        If `k` is not a whole number of at least 1, or if there are too few images.

    Notes
    -----
    The authors estimate the trace of exp(-t L), of the normalised Laplacian L = I - N, from random vectors (stochastic
    Lanczos quadrature). Here it is exact: exp(-t L) is the sum of exp(-t) I_j(t) T_j(N), j > 0 twice, of Bessel
    functions I_j and Chebyshev polynomials T_j, and traces of T_j follow from inner products of those of half the
    degree, since T_i T_j is the mean of T_i+j and T_i-j. It takes 24 sparse products, about 24 k n^2 operations.
    """
    n = len(features)
    enough(n, min_images(features.shape[1], k))
    traces = _chebyshev(_links(nearest(centred(features), k, np.inf)))
    degrees = np.arange(len(traces))
    weights = np.where(degrees, 2, 1) * ive(degrees, TIMES[:, None])
    return Heat(weights @ traces / n, n)


def _links(neighbours: np.ndarray) -> csr_array:
    """The adjacency matrix of the graph, each entry divided by the roots of both images' numbers of links."""
    n, k = neighbours.shape
    there = csr_array((np.ones(n * k), (np.repeat(np.arange(n), k), neighbours.ravel())), shape=(n, n))
    both = ((there + there.T) > 0).astype(np.float64)
    scale = diags_array(1 / np.sqrt(both.sum(axis=1)))
    return (scale @ both @ scale).tocsr()


def _chebyshev(matrix: csr_array) -> np.ndarray:
    """Traces of the Chebyshev polynomials of a symmetric matrix, of degrees 0 to 2 `_HALF` - 1."""
    n = matrix.shape[0]
    found = np.zeros(2 * _HALF)
    for start in range(0, n, _BLOCK):
        before = np.eye(n, min(_BLOCK, n - start), -start)
        now = matrix @ before
        found[:2] += np.vdot(before, before), np.vdot(before, now)
        for degree in range(1, _HALF):
            after = 2 * (matrix @ now) - before
            found[2 * degree] += 2 * np.vdot(now, now)
            found[2 * degree + 1] += 2 * np.vdot(now, after)
            before, now = now, after
    found[2::2] -= found[0]
    found[3::2] -= found[1]
    return found


def score(a: Heat, b: Heat) -> float:
    """
    Largest weighted difference of the heat traces of two models.

    It ignores which image is which: unrelated representations can have a distance of 0.

    Returns
    -------
    float
        At least 0, in millionths, below 18,316; 0 for features equal up to rotation, translation and scale.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Tsitsulin et al. 2020 (arXiv:1905.11141), equation 4: the greatest exp(-2 (t + 1/t)) |trace_a(t) - trace_b(t)| over
    256 times t from 0.1 to 10; traces are divided by the number of images.
    """
    paired(a.images, b.images)
    return float(_UNIT * np.max(_WEIGHTS * np.abs(a.trace - b.trace)))


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["imd"],
    invariances=RIGID,
    reference="Tsitsulin et al. 2020 (arXiv:1905.11141)",
    options={"k": 5},
)
