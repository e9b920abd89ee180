"""Orthogonal Procrustes distance, of normalised features and of features with their scale."""

import math

import numpy as np

from mettle.measures.base import RIGID, Measure, centred, enough, paired, product, reordered, snap, squares, thin, unit
from mettle.scales import SCALES


def prepare(features: np.ndarray) -> np.ndarray:
    """
    One model's part of the Procrustes distance.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3, since any two models are equal on two images.

    Returns
    -------
    (n, min(n, d)) array
        Centred features of Frobenius norm 1, rotated into as few columns as possible.

    Raises
    ------
    ValueError
        If there are fewer than 3 images, or if the features are constant over images.
    """
    enough(len(features), 3)
    return thin(unit(features, features.dtype))


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Squared distance that remains after the best rotation of one model onto the other.

    Parameters
    ----------
    a, b : arrays
        What `prepare` returned for two models on the same images.

    Returns
    -------
    float
        In [0, 2]; 0 for features equal up to rotation, translation and scale. Independent features score well below 2
        when the width approaches the number of images, so scores are not comparable across widths or numbers of images.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Ding et al. 2021 (arXiv:2108.01661), section 2: |A|^2 + |B|^2 - 2 |A'B|_* in Frobenius and nuclear norms, here
    2 - 2 |A'B|_*. The narrower side is not padded with zeros, which would not change the nuclear norm.
    """
    paired(len(a), len(b))
    overlap = np.linalg.svd(product(a, b), compute_uv=False).sum()
    return snap(2 - 2 * overlap, 0.0, 2.0)


def prepare_size(features: np.ndarray) -> np.ndarray:
    """
    One model's part of the size-and-shape distance.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.

    Returns
    -------
    (n, min(n, d)) float64 array
        Centred features, rotated into as few columns as possible.

    Raises
    ------
    ValueError
        If there are fewer than 2 images.
    """
    enough(len(features), 2)
    return thin(centred(features))


def score_size(a: np.ndarray, b: np.ndarray) -> float:
    """
    Distance that remains after the best rotation of one model onto the other, which keeps its size.

    Returns
    -------
    float
        At least 0, in units of the features, a metric; 0 for features equal up to rotation and translation. Distances
        below a millionth of the features' norm are rounding errors and become 0. It grows with the number of images and
        with the scale of the features, so models of different scale are never alike.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Williams et al. 2021 (arXiv:2110.14739), equation 3 over the orthogonal group, for centred features (Kendall's
    size-and-shape): the root of |A|^2 + |B|^2 - 2 |A'B|_* in Frobenius and nuclear norms.
    """
    paired(len(a), len(b))
    size = squares(a).sum() + squares(b).sum()
    apart = size - 2 * np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return math.sqrt(apart) if apart > 1e-12 * size else 0.0


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 3,
    scale=SCALES["procrustes"],
    invariances=RIGID,
    reference="Ding et al. 2021 (arXiv:2108.01661), section 2",
    options={},
    permute=reordered,
)

SIZE = Measure(
    prepare=prepare_size,
    score=score_size,
    min_images=lambda width, **_: 2,
    scale=SCALES["size_and_shape"],
    invariances=RIGID - {"isotropic scaling"},
    reference="Williams et al. 2021 (arXiv:2110.14739), distance minimised over the orthogonal group",
    options={},
    permute=reordered,
)
