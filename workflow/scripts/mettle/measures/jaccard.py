"""Similarity of neighbourhoods: common nearest neighbours, agreement of their ranks, and both."""

from typing import Any

import numpy as np

from mettle.measures.base import RIGID, Measure, enough, paired
from mettle.measures.neighbours import OPTIONS, min_images, overlap, permute, prepare
from mettle.scales import SCALES


def min_images_of_sets(width: int, **options: Any) -> int:
    """One image more than `neighbours.min_images`: if all images are neighbours, the sets are always equal."""
    return min_images(width, **options) + 1


def prepare_sets(
    features: np.ndarray, k: int = 10, metric: str = "cosine", self_policy: str = "exclude", centre: bool = True
) -> np.ndarray:
    """`neighbours.prepare`, with enough images for the sets of neighbours to differ."""
    enough(len(features), min_images_of_sets(features.shape[1], k=k, self_policy=self_policy))
    return prepare(features, k, metric, self_policy, centre)


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean Jaccard overlap of the neighbourhoods of two models.

    Parameters
    ----------
    a, b : (n, k) int arrays
        Neighbours from `neighbours.prepare`, for the same images.

    Returns
    -------
    float
        In [0, 1]; 1 if every image has the same neighbours in both models. Independent features score about k / (2n),
        and more if each image is its own neighbour.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), neighbourhood-based measures: the mean over images of the size of the
    intersection over the size of the union.
    """
    paired(len(a), len(b))
    return float(np.mean(_overlaps(*overlap(a, b), a.shape[1])))


def score_mutual(a: np.ndarray, b: np.ndarray) -> float:
    """
    Share of the nearest neighbours that two models have in common.

    Returns
    -------
    float
        In [0, 1]; 1 if every image has the same neighbours in both models. Independent features score about k / n, and
        more if each image is its own neighbour.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Huh et al. 2024 (arXiv:2405.07987), mutual k-nearest neighbours: the mean over images of the number of common
    neighbours over k. Their code does not subtract the mean first (`centre`).
    """
    paired(len(a), len(b))
    return float(np.mean(overlap(a, b)[0]) / a.shape[1])


def score_rank(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean rank similarity of the neighbourhoods of two models: are common neighbours in the same order?

    Returns
    -------
    float
        In [0, 1]; 1 if every image has the same neighbours in the same order. An image without common neighbours
        counts as 0.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), rank similarity: the sum over the m common neighbours, with ranks r and s,
    of 2 / ((1 + |r - s|) (r + s)), divided by 1 + 1/2 + ... + 1/m.
    """
    paired(len(a), len(b))
    return float(np.mean(_ranks(*overlap(a, b), a.shape[1])))


def score_joint(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean over images of the product of Jaccard overlap and rank similarity.

    Returns
    -------
    float
        In [0, 1]; 1 if every image has the same neighbours in the same order.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), joint rank and k-NN Jaccard similarity.
    """
    paired(len(a), len(b))
    common, k = overlap(a, b), a.shape[1]
    return float(np.mean(_overlaps(*common, k) * _ranks(*common, k)))


def _overlaps(count: np.ndarray, nearness: np.ndarray, k: int) -> np.ndarray:
    """Jaccard overlap of each image."""
    return count / (2 * k - count)


def _ranks(count: np.ndarray, nearness: np.ndarray, k: int) -> np.ndarray:
    """Rank similarity of each image, at most 1: the two sums may round differently even if their terms are equal."""
    best = np.cumsum(1 / np.arange(1, k + 1))
    return np.where(count > 0, np.minimum(nearness / best[count - 1], 1), 0)


_KLABUNDE = "Klabunde et al. 2025 (arXiv:2305.06329), neighbourhood-based measures"

MEASURE = Measure(
    prepare=prepare_sets,
    score=score,
    min_images=min_images_of_sets,
    scale=SCALES["jaccard"],
    invariances=RIGID,
    reference=f"{_KLABUNDE}, k-NN Jaccard similarity",
    options=OPTIONS,
    permute=permute,
)

MUTUAL = Measure(
    prepare=prepare_sets,
    score=score_mutual,
    min_images=min_images_of_sets,
    scale=SCALES["mutual_knn"],
    invariances=RIGID,
    reference="Huh et al. 2024 (arXiv:2405.07987), mutual k-nearest neighbours",
    options=OPTIONS,
    permute=permute,
)

RANK = Measure(
    prepare=prepare,
    score=score_rank,
    min_images=min_images,
    scale=SCALES["rank"],
    invariances=RIGID,
    reference=f"{_KLABUNDE}, rank similarity",
    options=OPTIONS,
    permute=permute,
)

JOINT = Measure(
    prepare=prepare,
    score=score_joint,
    min_images=min_images,
    scale=SCALES["rank_jaccard"],
    invariances=RIGID,
    reference=f"{_KLABUNDE}, joint rank and k-NN Jaccard similarity",
    options=OPTIONS,
    permute=permute,
)
