"""Centred kernel alignment of nearest neighbours only (CKNNA)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mettle.measures.base import RIGID, Measure, centred, enough, one_of, paired, snap
from mettle.measures.jaccard import min_images_of_sets
from mettle.measures.neighbours import directions, nearest
from mettle.scales import SCALES

_CENTRINGS = ("before", "after")


@dataclass(frozen=True)
class Neighbourhoods:
    """
    One model's part of CKNNA.

    Attributes
    ----------
    kernel : (n, n) sparse array
        Row i holds the kernel between image i and its k nearest neighbours.
    centring : {"before", "after"}
        Whether that kernel is centred, or is to be centred for each pair.
    """

    kernel: csr_array
    centring: str


def min_images(width: int, k: int = 10, **_: Any) -> int:
    """The smallest number of images of which not all are neighbours; ValueError unless `k` is at least 1."""
    return min_images_of_sets(width, k=k)


def prepare(features: np.ndarray, k: int = 10, centre: bool = True, centring: str = "before") -> Neighbourhoods:
    """
    Cosines of every image with its nearest neighbours.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= k + 2.
    k : int
        Neighbours per image, those with the largest cosine; never the image itself.
    centre : bool
        Whether to subtract the mean feature first.
    centring : {"before", "after"}
        Whether each row of the kernel is centred over all images before its neighbours are picked out, as in the
        paper; or both kernels are centred, by unbiased HSIC, after all but common neighbours are set to zero, as in the
        authors' code.

    Raises
    ------
    ValueError
        If an option is invalid, if there are too few images, or if a row has length 0, so that its cosine is undefined.
    """
    one_of("centre", centre, (True, False))
    one_of("centring", centring, _CENTRINGS)
    enough(len(features), min_images(features.shape[1], k))
    x = directions(centred(features) if centre else np.asarray(features, dtype=np.float64))
    columns = np.sort(nearest(x, k, np.inf), axis=1)
    values = np.stack([x[places] @ row for places, row in zip(columns, x, strict=True)])
    if centring == "before":
        values -= (x @ x.mean(axis=0))[:, None]
    pointers = np.arange(0, columns.size + 1, k)
    kernel = csr_array((values.ravel(), columns.ravel(), pointers), shape=(len(x), len(x)))
    return Neighbourhoods(kernel, centring)


def score(a: Neighbourhoods, b: Neighbourhoods) -> float:
    """
    CKNNA of two models on the same images: agreement of the kernels between images that are neighbours in both.

    Returns
    -------
    float
        In [-1, 1]; 1 if every image has the same neighbours in both models, with kernels in proportion. Independent
        features of many images score near 0, since they have few neighbours in common. With `centring` "after", values
        above 1 are possible where n is not much larger than k.

    Raises
    ------
    ValueError
        If the numbers of images differ; with `centring` "after", if HSIC of the neighbours with themselves is zero or
        less.

    Notes
    -----
    Huh et al. 2024 (arXiv:2405.07987), appendix: the sum over pairs i, j that are neighbours in both models of
    (K_ij - mean_l K_il) (L_ij - mean_l L_il), over the root of the product of each model's sum with itself. Their code
    (minyoungg/platonic-rep), which adds 1e-6 to the denominator, is `centring` "after" without `centre`.
    """
    paired(a.kernel.shape[0], b.kernel.shape[0])
    if a.centring == "after":
        return _after(a.kernel, b.kernel)
    size = np.linalg.norm(a.kernel.data) * np.linalg.norm(b.kernel.data)
    return snap(a.kernel.multiply(b.kernel).sum() / size, -1.0, 1.0)


def _after(a: csr_array, b: csr_array) -> float:
    """Unbiased HSIC of the kernels of common neighbours, over that of each model's own neighbours."""
    own = [_hsic(a, a), _hsic(b, b)]
    if min(own) <= 0:
        raise ValueError("CKNNA is undefined: HSIC of the neighbours with themselves is zero or less; use more images")
    return float(_hsic(a.multiply(b != 0), b.multiply(a != 0)) / np.sqrt(own[0] * own[1]))


def _hsic(a: csr_array, b: csr_array) -> float:
    """Unbiased HSIC times n(n-3) of kernels with a zero diagonal (Song et al. 2012), which need not be symmetric."""
    n = a.shape[0]
    cross = a.sum(axis=0) @ b.sum(axis=1)
    return float(a.multiply(b.T).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * cross / (n - 2))


def _permute(state: Neighbourhoods, order: np.ndarray) -> Neighbourhoods:
    """The state of the images in another order."""
    return replace(state, kernel=state.kernel[order][:, order])


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["cknna"],
    invariances=RIGID,
    reference="Huh et al. 2024 (arXiv:2405.07987), appendix",
    options={"k": 10, "centre": True, "centring": "before"},
    permute=_permute,
)
