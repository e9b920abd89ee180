"""Eigenspace overlap score: how much of the spans of two models is shared."""

from typing import Any

import numpy as np

from mettle.measures.base import INVARIANCES, Measure, enough, paired, reordered, snap
from mettle.measures.spectrum import decompose
from mettle.scales import SCALES


def min_images(width: int, **_: Any) -> int:
    """One image more than dimensions: with fewer, any two models of that width span the same space."""
    return width + 1


def prepare(features: np.ndarray) -> np.ndarray:
    """
    One model's part of the eigenspace overlap.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= d + 1. They are not centred.

    Returns
    -------
    (n, r) array
        Orthonormal basis of the span of the features.

    Raises
    ------
    ValueError
        If there are too few images.
    """
    enough(len(features), min_images(features.shape[1]))
    x = np.asarray(features, dtype=np.float64)
    return decompose(x / np.abs(x).max()).basis


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Share of the larger span that lies in the other.

    Returns
    -------
    float
        In [0, 1]; 1 if each model is a linear map of the other, without offset. Independent features of ranks p >= q
        around the origin score q / n on average; features away from it share the direction of their mean.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    May et al. 2019 (arXiv:1909.01264), definition 1: the squared Frobenius norm of U'V, of orthonormal bases U and V,
    over the larger width. Here the larger rank takes its place, so that dead units do not count.
    """
    paired(len(a), len(b))
    return snap(np.linalg.norm(a.T @ b) ** 2 / max(a.shape[1], b.shape[1]), 0.0, 1.0)


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["eigenspace_overlap"],
    invariances=INVARIANCES - {"translation"},
    reference="May et al. 2019 (arXiv:1909.01264), eigenspace overlap score",
    options={},
    permute=reordered,
)
