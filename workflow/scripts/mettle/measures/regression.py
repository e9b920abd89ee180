"""Linear regression of one model's features on another's."""

from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired, snap
from mettle.measures.spectrum import Spectrum, more_than_dimensions, permute, spectrum
from mettle.scales import SCALES


def min_images(width: int, **_: Any) -> int:
    """Two more images than dimensions: with fewer, the features of a model of this width fit any target."""
    return more_than_dimensions(width)


def prepare(features: np.ndarray) -> Spectrum:
    """
    One model's part of linear regression.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= d + 2.

    Raises
    ------
    ValueError
        If there are too few images, or if the features are constant over images.
    """
    enough(len(features), min_images(features.shape[1]))
    return spectrum(features)


def score(a: Spectrum, b: Spectrum) -> float:
    """
    Share of the second model's variance that the best linear map from the first explains, R squared.

    Returns
    -------
    float
        In [0, 1]; 1 if the second model is a linear map of the first. Not symmetric. The map is fitted to the same
        images, so independent features of rank p explain p / (n-1).

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Kornblith et al. 2019 (arXiv:1905.00414), table 1: the squared Frobenius norm of the centred second features
    projected on the span of the first, over that of the second features.
    """
    paired(len(a.basis), len(b.basis))
    explained = np.linalg.norm((a.basis.T @ b.basis) * b.values) ** 2
    return snap(explained / (b.values @ b.values), 0.0, 1.0)


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["linear_regression"],
    invariances=RIGID,
    reference="Kornblith et al. 2019 (arXiv:1905.00414), table 1, linear regression",
    options={},
    symmetric=False,
    permute=permute,
)
