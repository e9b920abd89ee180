"""GULP: how far apart the predictions of ridge regression from two representations are."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired, real
from mettle.measures.spectrum import more_than_both, spectrum
from mettle.scales import SCALES


@dataclass(frozen=True)
class Smoother:
    """
    The matrix hat hat' (n, n) that turns labels of the images into the fitted values of ridge regression.

    Attributes
    ----------
    hat : (n, r) array
        Its factor.
    size : float
        Squared Frobenius norm of the matrix.
    """

    hat: np.ndarray
    size: float


def min_images(width: int, ridge: float = 0.01, **_: Any) -> int:
    """Three, or more than both widths together if `ridge` is 0, which compares only the spans, like CCA."""
    real("ridge", ridge, 0)
    return more_than_both(width) if ridge == 0 else 3


def prepare(features: np.ndarray, ridge: float = 0.01) -> Smoother:
    """
    One model's part of GULP.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3, and n >= 2d + 1 if `ridge` is 0. They are centred and
        scaled to a total variance of 1 over dimensions.
    ridge : float
        Regularisation lambda >= 0, in units of that variance. Directions with less variance have little weight; with 0
        all have the same weight, as in CCA.

    Raises
    ------
    ValueError
        If `ridge` is not a number of at least 0, if there are too few images, or if features are constant over images.
    """
    enough(len(features), min_images(features.shape[1], ridge))
    parts = spectrum(features)
    shrunk = parts.values**2 / (parts.values**2 + ridge)
    return Smoother(parts.basis * np.sqrt(shrunk), float(shrunk @ shrunk))


def score(a: Smoother, b: Smoother) -> float:
    """
    Squared GULP distance of two models on the same images.

    Returns
    -------
    float
        At least 0, at most the sum of both widths; 0 for features equal up to rotation, translation and scale.
        Independent features of widths p and q score p + q - 2pq/(n-1) without ridge, which grows with the widths.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Boix-Adsera et al. 2022 (arXiv:2210.06545), the square of their distance, estimated on samples. With covariances
    S and R = (S + ridge I)^-1 it is tr(Saa Ra Saa Ra) + tr(Sbb Rb Sbb Rb) - 2 tr(Ra Sab Rb Sba), the squared Frobenius
    distance between the two smoothing matrices. It bounds the mean squared difference of the predictions for any labels
    of mean square 1.
    """
    paired(len(a.hat), len(b.hat))
    overlap = np.linalg.norm(a.hat.T @ b.hat) ** 2
    value = a.size + b.size - 2 * overlap
    return float(value) if value > 1e-12 * (a.size + b.size) else 0.0  # less is rounding


def _permute(state: Smoother, order: np.ndarray) -> Smoother:
    """The state of the images in another order."""
    return replace(state, hat=state.hat[order])


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["gulp"],
    invariances=RIGID,
    reference="Boix-Adsera et al. 2022 (arXiv:2210.06545), plug-in estimate of the squared distance",
    options={"ridge": 0.01},
    permute=_permute,
)
