"""Second-order cosine similarity."""

from dataclasses import dataclass, replace

import numpy as np

from mettle.measures import kernels
from mettle.measures.base import RIGID, Measure, centred, enough, one_of, paired, rounding, snap
from mettle.measures.neighbours import directions
from mettle.scales import SCALES


@dataclass(frozen=True)
class Cosines:
    """
    One model's part of second-order cosine similarity.

    Attributes
    ----------
    kernel : kernels.Linear
        Of the features scaled to length 1: cosines between images.
    lengths : (n,) float64 array
        Length of each row of the cosine matrix without its diagonal.
    """

    kernel: kernels.Linear
    lengths: np.ndarray


def prepare(features: np.ndarray, centre: bool = True) -> Cosines:
    """
    Cosines between images, and the length of each row of the cosine matrix.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 3.
    centre : bool
        Whether to subtract the mean first.

    Raises
    ------
    ValueError
        If `centre` is not a bool, if there are fewer than 3 images, if a row has length 0, so that its cosine is
        undefined, or if an image has cosine 0 with all others.
    """
    one_of("centre", centre, (True, False))
    enough(len(features), 3)
    kernel = kernels.linear(directions(centred(features, features.dtype) if centre else features))
    lengths = _off_diagonal(kernel, kernel)
    bad = np.flatnonzero(lengths <= rounding(features.dtype))
    if len(bad):
        raise ValueError(f"row {bad[0]} has cosine 0 with all others, so there is no second-order cosine")
    return Cosines(kernel, np.sqrt(lengths))


def _off_diagonal(a: kernels.Linear, b: kernels.Linear) -> np.ndarray:
    """Inner products of matching rows of two cosine matrices without their diagonals."""
    return kernels.by_row(a, b) - a.diagonal * b.diagonal


def score(a: Cosines, b: Cosines) -> float:
    """
    Mean cosine between matching rows of the cosine matrices of two models.

    Returns
    -------
    float
        In [-1, 1]; 1 if every image has the same cosines with the others in both models, up to a factor. Independent
        features of d dimensions score about d / (d + n^2) when centred, since centring makes all cosines slightly
        negative.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Hamilton et al. 2016 (arXiv:1605.09096), over all images instead of the nearest ones as in Klabunde et al. 2025
    (arXiv:2510.19427), and without each image's cosine with itself. The inner product of rows i of the cosine matrices
    xx' and yy' is x_i (x'y) y_i, which needs no n x n matrix if the features have fewer dimensions than images.
    """
    paired(len(a.lengths), len(b.lengths))
    return snap(float(np.mean(_off_diagonal(a.kernel, b.kernel) / (a.lengths * b.lengths))), -1.0, 1.0)


def _permute(state: Cosines, order: np.ndarray) -> Cosines:
    """The state of the images in another order."""
    return replace(state, kernel=state.kernel.at(order), lengths=state.lengths[order])


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 3,
    scale=SCALES["cosine"],
    invariances=RIGID,
    reference="Hamilton et al. 2016 (arXiv:1605.09096), over all images",
    options={"centre": True},
    permute=_permute,
)
