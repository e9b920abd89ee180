"""Generalised shape metric: the angle that remains between two representations after the best rotation."""

import math
from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired, real, reordered, thin, unit
from mettle.measures.spectrum import more_than_both, spectrum
from mettle.scales import SCALES


def min_images(width: int, alpha: float = 1.0, **_: Any) -> int:
    """Three, or more than both widths together if `alpha` is 0, which compares only the spans, like CCA."""
    real("alpha", alpha, 0, 1)
    return more_than_both(width) if alpha == 0 else 3


def prepare(features: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """
    One model's part of the shape metric.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3, and n >= 2d + 1 if `alpha` is 0.
    alpha : float
        From 1, unchanged features (the Procrustes distance as an angle), to 0, whitened features (CCA as an angle).

    Returns
    -------
    (n, r) array
        Centred, partly whitened features of Frobenius norm 1, rotated into as few columns as possible.

    Raises
    ------
    ValueError
        If `alpha` is not a number from 0 to 1, if there are too few images, or if features are constant over images.
    """
    enough(len(features), min_images(features.shape[1], alpha))
    if alpha == 1:
        return thin(unit(features))
    parts = spectrum(features)
    values = alpha * parts.values + (1 - alpha)
    return parts.basis * (values / np.linalg.norm(values))


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Angle between two models after the best rotation of one onto the other.

    Returns
    -------
    float
        Radians in [0, pi/2], a metric: symmetric, with the triangle inequality. 0 for features equal up to rotation,
        translation and scale; angles below 1.5e-6 are rounding errors and become 0. Independent features score well
        below pi/2 when the width approaches the number of images.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Williams et al. 2021 (arXiv:2110.14739): the angular distance minimised over the orthogonal group, after partial
    whitening X (alpha I + (1 - alpha) (X'X)^-1/2). Here X is first scaled to norm 1, so that alpha means the same at
    any scale, and directions without variance are left out of the inverse.
    """
    paired(len(a), len(b))
    cosine = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return math.acos(cosine) if cosine < 1 - 1e-12 else 0.0


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["shape"],
    invariances=RIGID,
    reference="Williams et al. 2021 (arXiv:2110.14739), angular distance over the orthogonal group",
    options={"alpha": 1.0},
    permute=reordered,
)
