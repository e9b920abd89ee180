"""Models aligned with each other, by a rotation or a permutation of units, and then compared."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mettle.measures.base import RIGID, Measure, enough, one_of, paired, reordered, snap, thin, unit
from mettle.measures.neighbours import directions
from mettle.measures.spectrum import decompose
from mettle.scales import SCALES


@dataclass(frozen=True)
class Directed:
    """
    One model's part of aligned cosine similarity.

    Attributes
    ----------
    features : (n, r) array
        Rotated into as few columns as possible, of Frobenius norm 1.
    directions : (n, r) array
        The same with rows of length 1.
    """

    features: np.ndarray
    directions: np.ndarray


def prepare_cosine(features: np.ndarray, centre: bool = True) -> Directed:
    """
    One model's part of aligned cosine similarity.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3.
    centre : bool
        Whether to subtract the mean first.

    Raises
    ------
    ValueError
        If `centre` is not a bool, if there are fewer than 3 images, or if a row has length 0, so that its cosine is
        undefined.
    """
    one_of("centre", centre, (True, False))
    enough(len(features), 3)
    x = unit(features) if centre else np.asarray(features, dtype=np.float64) / np.linalg.norm(features)
    x = thin(x)
    return Directed(x, directions(x))


def score_cosine(a: Directed, b: Directed) -> float:
    """
    Mean cosine between the features of the same image in two models, after the best rotation of one onto the other.

    Returns
    -------
    float
        In [-1, 1]; 1 for features equal up to rotation, translation and the length of each image's features.
        Independent features score well above 0 when the width approaches the number of images.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Hamilton et al. 2016 (arXiv:1605.09096): the rotation of orthogonal Procrustes, then cosines. The narrower model is
    padded with zeros, as in `resi` (Klabunde et al. 2025), which does not subtract the mean (`centre`) and leaves out
    images of length 0. Directions in which the models do not covary have no best rotation, and add nothing.
    """
    paired(len(a.features), len(b.features))
    cross = decompose(a.features.T @ b.features)
    return snap(np.vecdot(a.directions @ cross.basis, b.directions @ cross.axes.T).mean(), -1.0, 1.0)


def prepare_permutation(features: np.ndarray, normalise: bool = False) -> np.ndarray:
    """
    One model's part of permutation Procrustes.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.
    normalise : bool
        Whether to subtract the mean and scale to a Frobenius norm of 1 first.

    Returns
    -------
    (n, d) float64 array

    Raises
    ------
    ValueError
        If `normalise` is not a bool, or if there are fewer than 2 images.
    """
    one_of("normalise", normalise, (True, False))
    enough(len(features), 2)
    return unit(features) if normalise else np.asarray(features, dtype=np.float64)


def score_permutation(a: np.ndarray, b: np.ndarray) -> float:
    """
    Distance that remains after the best matching of the units of two models.

    Returns
    -------
    float
        At least 0, in units of the features; 0 if both have the same units in any order, of the same scale and offset.
        At most 2 with `normalise`.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Williams et al. 2021 (arXiv:2110.14739), equation 3 with permutations: the Frobenius norm of A P - B. The narrower
    model is padded with units that are zero, as in `resi` (Klabunde et al. 2025).
    """
    paired(len(a), len(b))
    width = max(a.shape[1], b.shape[1])
    a, b = (np.pad(x, [(0, 0), (0, width - x.shape[1])]) for x in (a, b))
    rows, columns = linear_sum_assignment(a.T @ b, maximize=True)
    return float(np.linalg.norm(a[:, rows] - b[:, columns]))


def _permute(state: Directed, order: np.ndarray) -> Directed:
    """The state of the images in another order."""
    return replace(state, features=state.features[order], directions=state.directions[order])


COSINE = Measure(
    prepare=prepare_cosine,
    score=score_cosine,
    min_images=lambda width, **_: 3,
    scale=SCALES["aligned_cosine"],
    invariances=RIGID,
    reference="Hamilton et al. 2016 (arXiv:1605.09096), cosine after orthogonal Procrustes",
    options={"centre": True},
    permute=_permute,
)

PERMUTATION = Measure(
    prepare=prepare_permutation,
    score=score_permutation,
    min_images=lambda width, **_: 2,
    scale=SCALES["permutation_procrustes"],
    invariances=frozenset({"permutation"}),
    reference="Williams et al. 2021 (arXiv:2110.14739), distance minimised over permutations",
    options={"normalise": False},
    permute=reordered,
)
