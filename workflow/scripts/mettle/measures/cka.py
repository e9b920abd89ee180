"""Linear centred kernel alignment, unbiased and biased."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired, same, snap, thin, unit


@dataclass(frozen=True)
class Centred:
    """
    One model's part of CKA.

    Attributes
    ----------
    factor : (n, r) array
        Centred features of Frobenius norm 1, thinned to r = min(n, d) columns.
    squares : (n,) array
        Squared length of each row: the diagonal of the Gram matrix.
    size : float
        Square root of HSIC with itself.
    """

    factor: np.ndarray
    squares: np.ndarray
    size: float


def _biased(x: np.ndarray, y: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """HSIC times (n-1)^2: the inner product of the Gram matrices xx' and yy', from the small product x'y."""
    product = x.T @ y
    return float(np.vdot(product, product))


def _unbiased(x: np.ndarray, y: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """
    Unbiased HSIC times n(n-3), from features.

    The estimator sees the Gram matrices K = xx' and L = yy' with their diagonals p and q taken out. Columns of x and
    y sum to zero, so the rows of K without diagonal sum to -p, and likewise for L: every sum over pairs of images
    is then one over p and q.
    """
    n = len(x)
    return _biased(x, y, p, q) - n / (n - 2) * (p @ q) + p.sum() * q.sum() / ((n - 1) * (n - 2))


def _prepare(features: np.ndarray, *, hsic: Callable[..., float], needed: int) -> Centred:
    """Centre, scale and thin the features, and compute HSIC with themselves; ValueError where that is zero."""
    enough(len(features), needed)
    x = thin(unit(features))
    p = np.einsum("ij,ij->i", x, x)
    own = hsic(x, x, p, p)
    if own <= 1e-12 * _biased(x, x, p, p):
        raise ValueError("CKA is undefined: HSIC of the features with themselves is zero or less")
    return Centred(x, p, math.sqrt(own))


def _score(a: Centred, b: Centred, *, hsic: Callable[..., float], low: float) -> float:
    """HSIC of the pair over the root of the product of both HSIC with themselves."""
    paired(len(a.factor), len(b.factor))
    value = hsic(a.factor, b.factor, a.squares, b.squares) / (a.size * b.size)
    return snap(value, low, 1.0)


def prepare(features: np.ndarray) -> Centred:
    """
    One model's part of unbiased linear CKA.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 4.

    Raises
    ------
    ValueError
        If there are fewer than 4 images, or if HSIC of the features with themselves is zero (all images equally far
        from each other), where CKA is undefined.
    """
    return _prepare(features, hsic=_unbiased, needed=4)


def score(a: Centred, b: Centred) -> float:
    """
    Unbiased linear CKA of two models on the same images.

    Returns
    -------
    float
        In [-1, 1]; 1 is equality up to rotation, translation and scale, 0 is what independent features give on
        average, at any number of images and dimensions.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Kornblith et al. 2019 (arXiv:1905.00414), section 3, with the unbiased HSIC of Song et al. 2012 (JMLR 13), which
    Nguyen et al. 2021 (arXiv:2010.15327) state as equation 3. They average it over minibatches; here all images are
    one batch. Works on an r x s product, with r and s at most n and at most the widths: no n x n matrix if d < n.
    """
    return _score(a, b, hsic=_unbiased, low=-1.0)


prepare_biased = partial(_prepare, hsic=_biased, needed=2)
score_biased = partial(_score, hsic=_biased, low=0.0)


UNBIASED = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda **_: 4,
    higher_is_alike=True,
    range=(-1.0, 1.0),
    self_value=1.0,
    invariances=RIGID,
    label="CKA",
    display=same,
    reference="Kornblith et al. 2019 (arXiv:1905.00414), section 3; Nguyen et al. 2021 (arXiv:2010.15327), equation 3",
    options={},
)

BIASED = Measure(
    prepare=prepare_biased,
    score=score_biased,
    min_images=lambda **_: 2,
    higher_is_alike=True,
    range=(0.0, 1.0),
    self_value=1.0,
    invariances=RIGID,
    label="CKA (biased)",
    display=same,
    reference="Kornblith et al. 2019 (arXiv:1905.00414), section 3, linear kernel",
    options={},
)
