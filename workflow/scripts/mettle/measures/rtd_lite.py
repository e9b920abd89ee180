"""RTD-Lite: the part of representation topology divergence (RTD) that minimum spanning trees capture."""

from typing import Any

import numpy as np

from mettle.measures import rtd
from mettle.measures.base import RIGID, Measure
from mettle.scales import SCALES


def min_images(width: int, points: int = 500, **_: Any) -> int:
    """The number of images in one subsample; ValueError if `points` is not a whole number of at least 3."""
    return rtd.min_images(width, points)


def prepare(features: np.ndarray, points: int = 500, trials: int = 10, seed: int = 0) -> rtd.Clouds:
    """
    Distances within subsamples of the images, and their minimum spanning trees.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i.
    points : int
        Images per subsample, at least 3. RTD-Lite grows with it: compare only scores with equal `points`.
    trials : int
        Subsamples, at least 1.
    seed : int
        Seed of the subsamples; all models with n images get the same ones, and so does RTD with this seed.

    Raises
    ------
    ValueError
        If an option is invalid, if there are fewer images than `points`, or if nearly all images of a subsample have
        the same features.
    """
    return rtd.prepare(features, points, trials, seed)


def score(a: rtd.Clouds, b: rtd.Clouds) -> float:
    """
    RTD-Lite of two models on the same images: mean over subsamples and over both directions.

    Returns
    -------
    float
        At least 0, and at most RTD of the same subsamples; 0 for features equal up to rotation, translation and scale.

    Raises
    ------
    ValueError
        If the subsamples of the two models differ.

    Notes
    -----
    Tulchinskii et al. 2025 (arXiv:2503.11910), algorithm 2: the weight of a minimum spanning tree of each cloud minus
    that of the elementwise minimum of both distances. Of RTD's three parts (`mettle.measures.sequence`) it is the one
    due to connected components. Distances below 1e-6 of their mean count as zero, as in RTD; the authors keep them.
    """
    from mettle.measures import sequence

    rtd.shared_rows(a, b)
    least = [sequence.spanning_tree(np.minimum(x, y)) for x, y in zip(a.distances, b.distances, strict=True)]
    return max(float(np.mean((a.trees + b.trees) / 2 - least)), 0.0)


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["rtd_lite"],
    invariances=RIGID,
    reference="Tulchinskii et al. 2025 (arXiv:2503.11910), algorithm 2",
    options={"points": 500, "trials": 10, "seed": 0},
)
