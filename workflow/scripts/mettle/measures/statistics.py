"""Statistics of one model's features: how far from the origin, how much in one direction, how evenly spread."""

from dataclasses import dataclass

import numpy as np

from mettle.measures import kernels
from mettle.measures.base import RIGID, Measure, enough, one_of, paired, squares
from mettle.measures.neighbours import directions
from mettle.scales import SCALES


@dataclass(frozen=True)
class Statistic:
    """A number that describes one model, and the number of images behind it."""

    value: float
    images: int


def magnitude(features: np.ndarray) -> Statistic:
    """
    Norm of the mean feature vector of a model, ``measures.prepare("magnitude", features).value``.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.

    Returns
    -------
    Statistic
        The value is at least 0, in units of the features; 0 if they are centred.

    Raises
    ------
    ValueError
        If there are fewer than 2 images.
    """
    enough(len(features), 2)
    mean = np.mean(features, axis=0, dtype=np.float64)
    return Statistic(float(np.linalg.norm(mean)), len(features))


def concentricity(features: np.ndarray) -> Statistic:
    """
    Mean cosine of the feature vectors with their mean, ``measures.prepare("concentricity", features).value``.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.

    Returns
    -------
    Statistic
        The value is in [-1, 1]: 1 if all vectors point in the same direction, near 0 if they surround the origin.

    Raises
    ------
    ValueError
        If there are fewer than 2 images, or if a row or the mean has length 0, so that a cosine is undefined.
    """
    enough(len(features), 2)
    x = np.asarray(features, dtype=np.float64)
    lengths, mean = np.linalg.norm(x, axis=1), x.mean(axis=0)
    size, longest = np.linalg.norm(mean), lengths.max()
    if size <= 1e-12 * longest:
        raise ValueError("the mean of the features is zero, so it has no cosine")
    if lengths.min() == 0:
        raise ValueError(f"row {lengths.argmin()} has length 0, so it has no cosine")
    return Statistic(float(np.mean((x @ mean) / lengths) / size), len(x))


def uniformity(features: np.ndarray, sphere: bool = True) -> Statistic:
    """
    Logarithm of the mean Gaussian potential between images, ``measures.prepare("uniformity", features).value``.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i; n >= 2.
    sphere : bool
        Whether rows are scaled to length 1 first. Without, features with distances above 4 or so all have the value
        -log n.

    Returns
    -------
    Statistic
        The value is at least -8 on the sphere, and at most 0: the lower, the more evenly images are spread.

    Raises
    ------
    ValueError
        If `sphere` is not a bool, if there are fewer than 2 images, or if a row has length 0, so that it has no
        direction.

    Notes
    -----
    Wang and Isola 2020 (arXiv:2005.10242), equation 4 with t = 2, of features on the unit sphere: log of the mean over
    all n^2 pairs of images of exp(-2 |x - y|^2). `resi` (Klabunde et al. 2025) takes features as they are (`sphere`).
    """
    one_of("sphere", sphere, (True, False))
    n = len(features)
    enough(n, 2)
    x = np.asarray(features, dtype=np.float64)
    x = directions(x) if sphere else x - x.mean(axis=0)
    lengths, total = squares(x), 0.0
    for rows, columns in kernels.tiles(n):
        potential = np.exp(-2 * kernels.distances(x, lengths, rows, columns)).sum()
        total += potential if rows == columns else 2 * potential
    return Statistic(float(np.log(total / n**2)), n)


def difference(a: Statistic, b: Statistic) -> float:
    """
    Absolute difference of a statistic of two models.

    It ignores which image is which: unrelated representations can have a difference of 0.

    Returns
    -------
    float
        At least 0; 0 if the statistics are equal.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Klabunde et al. 2025 (arXiv:2305.06329), descriptive statistics: both statistics, compared by their difference.
    """
    paired(a.images, b.images)
    return abs(a.value - b.value)


MAGNITUDE = Measure(
    prepare=magnitude,
    score=difference,
    min_images=lambda width, **_: 2,
    scale=SCALES["magnitude"],
    invariances=RIGID - {"translation", "isotropic scaling"},
    reference="Klabunde et al. 2025 (arXiv:2305.06329), descriptive statistics, magnitude",
    options={},
)

CONCENTRICITY = Measure(
    prepare=concentricity,
    score=difference,
    min_images=lambda width, **_: 2,
    scale=SCALES["concentricity"],
    invariances=RIGID - {"translation"},
    reference="Klabunde et al. 2025 (arXiv:2305.06329), descriptive statistics, concentricity",
    options={},
)

UNIFORMITY = Measure(
    prepare=uniformity,
    score=difference,
    min_images=lambda width, **_: 2,
    scale=SCALES["uniformity"],
    invariances=RIGID - {"translation"},
    reference="Klabunde et al. 2025 (arXiv:2305.06329), descriptive statistics, uniformity; Wang and Isola 2020 "
    "(arXiv:2005.10242), equation 4",
    options={"sphere": True},
)
