"""Centred kernel alignment (CKA): linear (unbiased, biased, over minibatches) and with an RBF kernel."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mettle.measures import kernels
from mettle.measures.base import RIGID, Measure, enough, integer, paired, real, rounding, snap, unit
from mettle.scales import SCALES


@dataclass(frozen=True)
class Centred:
    """
    One model's part of CKA.

    Attributes
    ----------
    kernel : kernels.Linear or kernels.Rbf
        Of the features, centred and scaled to a Frobenius norm of 1.
    sums : (n,) array
        Row sums of the kernel matrix without its diagonal.
    size : float
        Square root of HSIC with itself.
    """

    kernel: Any
    sums: np.ndarray
    size: float


def _biased(total: float, a: Centred, b: Centred) -> float:
    """HSIC times (n-1)^2: the inner product `total` of the Gram matrices of centred features."""
    return total


def _unbiased(total: float, a: Centred, b: Centred) -> float:
    """Unbiased HSIC times n(n-3), from the inner product `total` of the kernel matrices with their diagonals."""
    n, r, s = len(a.sums), a.sums, b.sums
    off = total - a.kernel.diagonal @ b.kernel.diagonal
    return float(off - 2 / (n - 2) * (r @ s) + r.sum() * s.sum() / ((n - 1) * (n - 2)))


def _state(kernel: Any, sums: np.ndarray, hsic: Callable[..., float]) -> Centred:
    """The state with its size; ValueError if HSIC of the features with themselves is zero."""
    state, total = Centred(kernel, sums, math.nan), kernels.total(kernel, kernel)
    own = hsic(total, state, state)
    if own <= 1e-12 * total:
        raise ValueError("CKA is undefined: HSIC of the features with themselves is zero or less")
    return Centred(kernel, sums, math.sqrt(own))


def _prepare(features: np.ndarray, *, hsic: Callable[..., float], needed: int) -> Centred:
    """The linear kernel; the columns of its features sum to zero, and therefore each of its rows."""
    enough(len(features), needed)
    kernel = kernels.linear(_unit(features))
    return _state(kernel, -kernel.diagonal, hsic)


def _unit(features: np.ndarray) -> np.ndarray:
    """Centred features of norm 1; float64 for few images, where unbiased HSIC is a small difference of large sums."""
    n, d = features.shape
    return unit(features, features.dtype if d + 1 < n else np.float64)


def _score(a: Centred, b: Centred, *, hsic: Callable[..., float], low: float) -> float:
    """HSIC of the pair over the square root of the product of each model's HSIC with itself."""
    paired(len(a.sums), len(b.sums))
    return snap(hsic(kernels.total(a.kernel, b.kernel), a, b) / (a.size * b.size), low, 1.0)


def _permute(state: Centred, order: np.ndarray) -> Centred:
    """The state of the images in another order."""
    return replace(state, kernel=state.kernel.at(order), sums=state.sums[order])


def _table(states: Sequence[Centred], *, hsic: Callable[..., float], low: float) -> np.ndarray:
    """Scores of all pairs of different models."""
    found = kernels.totals([state.kernel for state in states])
    for i, a in enumerate(states):
        for j, b in enumerate(states[:i]):
            found[i, j] = found[j, i] = snap(hsic(found[i, j], a, b) / (a.size * b.size), low, 1.0)
    return found


def prepare(features: np.ndarray) -> Centred:
    """
    One model's part of unbiased linear CKA.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 4. Float32 features with fewer dimensions than images are multiplied in float32
        and summed in float64, which changes the score by less than 1e-6; everything else is in float64.

    Raises
    ------
    ValueError
        If there are fewer than 4 images, or if HSIC of the features with themselves is zero (all images are equally
        far from each other), so that CKA is undefined.
    """
    return _prepare(features, hsic=_unbiased, needed=4)


def score(a: Centred, b: Centred) -> float:
    """
    Unbiased linear CKA of two models on the same images.

    Returns
    -------
    float
        In [-1, 1]; 1 for features equal up to rotation, translation and scale; independent features score 0 on
        average, for any number of images and dimensions.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Kornblith et al. 2019 (arXiv:1905.00414), section 3, with the unbiased HSIC of Song et al. 2012 (JMLR 13), which
    Nguyen et al. 2021 (arXiv:2010.15327) give as equation 3. They average it over minibatches (`cka_minibatch`); here
    all images are one batch. Features with fewer dimensions than images need no n x n matrix.
    """
    return _score(a, b, hsic=_unbiased, low=-1.0)


def prepare_biased(features: np.ndarray) -> Centred:
    """
    One model's part of biased linear CKA.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3, since any two models score 1 on two images. Computed in the precision of
        `prepare`.

    Raises
    ------
    ValueError
        If there are fewer than 3 images, or if the features are constant over images.
    """
    return _prepare(features, hsic=_biased, needed=3)


def score_biased(a: Centred, b: Centred) -> float:
    """
    Biased linear CKA of two models on the same images.

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
    Kornblith et al. 2019 (arXiv:1905.00414), section 3: |X'Y|^2 / (|X'X| |Y'Y|) of centred features.
    """
    return _score(a, b, hsic=_biased, low=0.0)


def prepare_rbf(features: np.ndarray, bandwidth: float = 1.0) -> Centred:
    """
    One model's part of unbiased CKA with a Gaussian (RBF) kernel.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 4.
    bandwidth : float
        Standard deviation of the kernel, in units of the median distance between two images; at least 1e-6.

    Raises
    ------
    ValueError
        If `bandwidth` is out of range, if there are fewer than 4 images, if the median distance is zero, or if HSIC of
        the features with themselves is zero.

    Notes
    -----
    Kornblith et al. 2019 (arXiv:1905.00414), section 3. Kernel matrices are computed in tiles of 1,024 x 1,024 images
    and never stored: a pair takes n^2 d operations, and 32 MB besides the features.
    """
    real("bandwidth", bandwidth, 1e-6)
    enough(len(features), 4)
    kernel = kernels.rbf(_unit(features), bandwidth)
    return _state(kernel, kernels.row_sums(kernel), _unbiased)


@dataclass(frozen=True)
class Batches:
    """
    One model's part of minibatch CKA.

    Attributes
    ----------
    order : (n,) int array
        Shuffled images; batches are consecutive.
    grams : (size,) array
        Upper halves of the U-centred Gram matrices of all batches, each divided by the square root of b(b-3) for its b
        images, concatenated and scaled to length 1: the inner product of two models sums HSIC over batches.
    """

    order: np.ndarray
    grams: np.ndarray


def prepare_minibatch(features: np.ndarray, batch: int = 256, seed: int = 0) -> Batches:
    """
    One model's part of minibatch CKA: Gram matrices of random batches of images.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 4.
    batch : int
        Images per batch, at least 4. The remainder is spread over the n // batch batches, so no image is left out;
        fewer images than `batch` form one batch.
    seed : int
        Seed of the shuffle before images are split into batches; all models with n images get the same batches.

    Raises
    ------
    ValueError
        If an option is invalid, if there are fewer than 4 images, or if HSIC of the features with themselves is zero.
    """
    integer("batch", batch, 4)
    integer("seed", seed, 0)
    enough(len(features), 4)
    x = unit(features, features.dtype)
    order = np.random.default_rng([seed, len(x)]).permutation(len(x))
    grams = np.concatenate([_u_centred(x[rows]) for rows in np.array_split(order, max(1, len(x) // batch))])
    size = np.linalg.norm(grams)
    # if all images are equally far apart, only rounding errors of a diagonal of 1 / n are left
    if size <= rounding(x.dtype) / len(x):
        raise ValueError("CKA is undefined: HSIC of the features with themselves is zero or less")
    return Batches(order, grams / size)


def _u_centred(x: np.ndarray) -> np.ndarray:
    """Upper half of the U-centred Gram matrix: unbiased HSIC is half the inner product of two (Song et al. 2012)."""
    n = len(x)
    gram = (x @ x.T).astype(np.float64)
    np.fill_diagonal(gram, 0)
    sums = gram.sum(axis=1) / (n - 2)
    gram -= sums[:, None]
    gram -= sums - sums.sum() / (n - 1)
    return gram[np.tri(n, k=-1, dtype=bool).T] / math.sqrt(n * (n - 3))


def score_minibatch(a: Batches, b: Batches) -> float:
    """
    Minibatch CKA of two models on the same images.

    Returns
    -------
    float
        In [-1, 1], read like `score`, and closer to it for larger batches.

    Raises
    ------
    ValueError
        If the batches of the two differ.

    Notes
    -----
    Nguyen et al. 2021 (arXiv:2010.15327), equations 2 and 3: unbiased HSIC is averaged over batches before the ratio
    is taken. They drop images that do not fill a batch.
    """
    if not np.array_equal(a.order, b.order) or len(a.grams) != len(b.grams):
        raise ValueError("minibatch CKA needs the same batches for both models: same number of images, batch and seed")
    return snap(float(a.grams @ b.grams), -1.0, 1.0)


_KORNBLITH = "Kornblith et al. 2019 (arXiv:1905.00414), section 3"

UNBIASED = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 4,
    scale=SCALES["cka"],
    invariances=RIGID,
    reference=f"{_KORNBLITH}; Nguyen et al. 2021 (arXiv:2010.15327), equation 3",
    options={},
    permute=_permute,
    table=partial(_table, hsic=_unbiased, low=-1.0),
)

BIASED = Measure(
    prepare=prepare_biased,
    score=score_biased,
    min_images=lambda width, **_: 3,
    scale=SCALES["cka_biased"],
    invariances=RIGID,
    reference=f"{_KORNBLITH}, linear kernel",
    options={},
    permute=_permute,
    table=partial(_table, hsic=_biased, low=0.0),
)

MINIBATCH = Measure(
    prepare=prepare_minibatch,
    score=score_minibatch,
    min_images=lambda width, **_: 4,
    scale=SCALES["cka_minibatch"],
    invariances=RIGID,
    reference="Nguyen et al. 2021 (arXiv:2010.15327), equations 2 and 3",
    options={"batch": 256, "seed": 0},
)

RBF = Measure(
    prepare=prepare_rbf,
    score=score,
    min_images=lambda width, **_: 4,
    scale=SCALES["cka_rbf"],
    invariances=RIGID,
    reference=f"{_KORNBLITH}, RBF kernel; unbiased HSIC of Song et al. 2012 (JMLR 13)",
    options={"bandwidth": 1.0},
    permute=_permute,
    table=partial(_table, hsic=_unbiased, low=-1.0),
)
