"""Orthogonal Procrustes distance of normalised features."""

import numpy as np
from scipy.linalg import svdvals

from mettle.measures.base import centre, thin


def prepare(features: np.ndarray) -> np.ndarray:
    """Centred features of unit Frobenius norm, in float64 throughout: a float32 norm is off by 1e-5 and more."""
    x = thin(centre(features))
    return x / np.linalg.norm(x)


def score(a: np.ndarray, b: np.ndarray) -> float:
    """Squared distance after the best rotation, in [0, 2]; 0 is equality up to rotation, shift and scale.

    2 - 2 |A'B|_*, Ding et al. 2021 (arXiv:2108.01661), section 3, for features of unit norm; widths may differ, since
    padding with zeros changes nothing. Far from 2 for independent data when the width is comparable with the number
    of images.
    """
    product = a.T @ b if a.shape[1] >= b.shape[1] else b.T @ a
    return float(np.clip(2 - 2 * svdvals(product, check_finite=False).sum(), 0, 2))
