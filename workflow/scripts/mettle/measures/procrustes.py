"""Orthogonal Procrustes distance of normalised features."""

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired, product, snap, thin, unit
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


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 3,
    scale=SCALES["procrustes"],
    invariances=RIGID,
    reference="Ding et al. 2021 (arXiv:2108.01661), section 2",
    options={},
)
