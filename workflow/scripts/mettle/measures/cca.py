"""Canonical correlation analysis (CCA), SVCCA and PWCCA."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, one_of, paired, real, snap
from mettle.measures.spectrum import Spectrum, more_than_both, permute, spectrum
from mettle.scales import SCALES

_POWERS = {"mean": 1, "mean_square": 2}


@dataclass(frozen=True)
class Subspace:
    """
    One model's part of CCA.

    Attributes
    ----------
    basis : (n, r) array
        Orthonormal basis of the span of the centred features.
    power : int
        Exponent of the correlations before they are averaged.
    """

    basis: np.ndarray
    power: int = 1


def min_images(width: int, **_: Any) -> int:
    """More images than both widths together: with fewer, some correlations are 1 for any features."""
    return more_than_both(width)


def prepare(features: np.ndarray, statistic: str = "mean") -> Subspace:
    """
    One model's part of CCA.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2d + 1.
    statistic : {"mean", "mean_square"}
        The score: the mean of the canonical correlations, or the mean of their squares.

    Raises
    ------
    ValueError
        If `statistic` is neither, if there are too few images, or if the features are constant over images.
    """
    one_of("statistic", statistic, _POWERS)
    enough(len(features), min_images(features.shape[1]))
    return Subspace(spectrum(features).basis, _POWERS[statistic])


def score(a: Subspace, b: Subspace) -> float:
    """
    Mean canonical correlation of two models on the same images.

    Returns
    -------
    float
        In [0, 1]; 1 if the narrower model is any linear map of the other. Independent features of ranks p >= q have
        squared correlations of p / (n-1) on average.

    Raises
    ------
    ValueError
        If the numbers of images differ, or if p + q exceeds n - 1, where the two spans intersect for any features.

    Notes
    -----
    Kornblith et al. 2019 (arXiv:1905.00414), table 1, the mean of all min(p, q) canonical correlations and of their
    squares, as cosines of the principal angles between the two spans (Björck and Golub 1973). The ranks p and q take
    the place of the widths, so that dead units do not count.
    """
    paired(len(a.basis), len(b.basis))
    (n, p), q = a.basis.shape, b.basis.shape[1]
    if p + q > n - 1:
        raise ValueError(
            f"{p} and {q} components of {n} images always share a direction: use more images than both "
            "together, or fewer components (svcca: a smaller `variance`)"
        )
    correlations = np.linalg.svd(a.basis.T @ b.basis, compute_uv=False)
    return snap(np.mean(correlations**a.power), 0.0, 1.0)


def prepare_svcca(features: np.ndarray, variance: float = 0.99) -> Subspace:
    """
    One model's part of SVCCA: the span of the first principal components.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3. There may be fewer images than dimensions if few components are kept: `score`
        refuses a pair with more than n - 1 components together. The correlation of p components with unrelated ones is
        about the square root of p / (n-1).
    variance : float
        Share of the variance that the components explain together, from 0 to 1; as few as possible are kept, and at
        least one.

    Raises
    ------
    ValueError
        If `variance` is out of range, if there are too few images, or if the features are constant over images.

    Notes
    -----
    Raghu et al. 2017 (arXiv:1706.05806), section 2: singular vectors that explain 99 % of the variance, then the mean
    canonical correlation.
    """
    real("variance", variance, 0, 1)
    enough(len(features), 3)
    parts = spectrum(features)
    explained = np.cumsum(parts.values**2)
    return Subspace(parts.basis[:, : np.searchsorted(explained, variance * explained[-1]) + 1])


def prepare_pwcca(features: np.ndarray) -> Spectrum:
    """
    One model's part of PWCCA.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2d + 1.

    Raises
    ------
    ValueError
        If there are too few images, or if the features are constant over images.
    """
    enough(len(features), min_images(features.shape[1]))
    return spectrum(features)


def score_pwcca(a: Spectrum, b: Spectrum) -> float:
    """
    Mean canonical correlation, weighted by how much each canonical variable contributes to the second model's units.

    Returns
    -------
    float
        In [0, 1]; 1 if the second model is a linear map of the first. Not symmetric.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Morcos et al. 2018 (arXiv:1806.05759), section 3: the weight of a canonical variable is the sum of its absolute
    inner products with the units of one model. This is the first model in the paper, and the narrower one in the
    authors' code; here it is the second, the one to be explained, like the target of a regression.
    """
    paired(len(a.basis), len(b.basis))
    _, correlations, variables = np.linalg.svd(a.basis.T @ b.basis, full_matrices=False)
    weights = np.abs(variables * b.values @ b.axes).sum(axis=1)
    return snap(weights @ correlations / weights.sum(), 0.0, 1.0)


def _permute(state: Subspace, order: np.ndarray) -> Subspace:
    """The state of the images in another order."""
    return replace(state, basis=state.basis[order])


CCA = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["cca"],
    invariances=RIGID | {"invertible linear"},
    reference="Kornblith et al. 2019 (arXiv:1905.00414), table 1, mean CCA correlation",
    options={"statistic": "mean"},
    permute=_permute,
)

SVCCA = Measure(
    prepare=prepare_svcca,
    score=score,
    min_images=lambda width, **_: 3,
    scale=SCALES["svcca"],
    invariances=RIGID,
    reference="Raghu et al. 2017 (arXiv:1706.05806), section 2",
    options={"variance": 0.99},
    permute=_permute,
)

PWCCA = Measure(
    prepare=prepare_pwcca,
    score=score_pwcca,
    min_images=min_images,
    scale=SCALES["pwcca"],
    invariances=RIGID - {"orthogonal"},
    reference="Morcos et al. 2018 (arXiv:1806.05759), section 3",
    options={},
    symmetric=False,
    permute=permute,
)
