"""What a measure is, the checks that all share, and the linear algebra that several share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_LARGEST = 1e100  # squares of larger features would overflow


@dataclass(frozen=True)
class Measure:
    """
    A similarity measure between two representations of the same images.

    Attributes
    ----------
    prepare : callable
        ``prepare(features, **options)``: what the score needs of one model, computed once per model. `features` is
        an (n, d) array, row i from image i.
    score : callable
        ``score(state_a, state_b)``: the raw value of a pair.
    min_images : callable
        ``min_images(**options)``: the fewest images for which the score is defined.
    higher_is_alike : bool
        Whether a higher raw value means more alike.
    range : (float, float)
        Least and greatest raw value.
    self_value : float
        Raw value of a representation with itself.
    invariances : frozenset of str
        Changes of one representation that leave the score as it is, of "orthogonal", "translation" and
        "isotropic scaling"; claimed for the default options.
    label : str
        Axis label of the displayed value.
    display : callable
        From the raw value to a number that is higher the more alike.
    reference : str
        Where the definition stands.
    options : mapping
        Options of `prepare` and their defaults.
    """

    prepare: Callable[..., Any]
    score: Callable[[Any, Any], float]
    min_images: Callable[..., int]
    higher_is_alike: bool
    range: tuple[float, float]
    self_value: float
    invariances: frozenset[str]
    label: str
    display: Callable[[float], float]
    reference: str
    options: Mapping[str, Any]


RIGID = frozenset({"orthogonal", "translation", "isotropic scaling"})


def same(value: float) -> float:
    """Return `value`: the display of a measure whose raw value already grows with likeness."""
    return value


def check(features: Any, name: str) -> np.ndarray:
    """
    Features as a float64 array, once they are fit for any measure.

    Parameters
    ----------
    features : (n, d) array-like of real numbers
        Row i comes from image i.
    name : str
        What the message calls them, the model for instance.

    Returns
    -------
    (n, d) float64 array

    Raises
    ------
    ValueError
        If the features are not numbers, not 2-d, empty, not finite (or beyond 1e100), or the same for every image.
    """
    x = np.asarray(features)
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{name}: features must be real numbers, got dtype {x.dtype}")
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"{name}: features must have shape (images, dimensions), got {x.shape}")
    x = x.astype(np.float64, copy=False)
    bad = x.size - np.count_nonzero(np.abs(x) < _LARGEST)
    if bad:
        raise ValueError(f"{name}: {bad} of {x.size} features are NaN, infinite or beyond {_LARGEST:g}")
    if len(x) > 1 and (x == x[0]).all():
        raise ValueError(f"{name}: features are constant over images, all {len(x)} rows are equal")
    return x


def enough(images: int, needed: int) -> None:
    """Raise ValueError if there are fewer `images` than `needed`."""
    if images < needed:
        raise ValueError(f"at least {needed} images are needed, got {images}")


def paired(a: int, b: int) -> None:
    """Raise ValueError unless both representations have as many images."""
    if a != b:
        raise ValueError(f"both representations need the same images, got {a} and {b}")


def whole(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless the option `name` is a whole number of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def one_of(name: str, value: Any, known: Iterable[Any]) -> None:
    """Raise ValueError unless the option `name` is among the `known` values."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def centred(features: np.ndarray) -> np.ndarray:
    """Features in float64 with the mean of every column taken off."""
    x = np.asarray(features, dtype=np.float64)
    return x - x.mean(axis=0)


def unit(features: np.ndarray) -> np.ndarray:
    """
    Features centred and scaled to a Frobenius norm of 1.

    Raises
    ------
    ValueError
        If nothing is left after centring.
    """
    x = centred(features)
    size = np.linalg.norm(x)
    if size == 0:
        raise ValueError("the features are constant over images up to rounding")
    x /= size
    return x


def thin(x: np.ndarray) -> np.ndarray:
    """
    Features rotated into at most n dimensions: all inner products between images stay.

    Parameters
    ----------
    x : (n, d) array

    Returns
    -------
    (n, min(n, d)) array
        `x` itself if d <= n. Otherwise x = r.T q.T with orthonormal q, and r.T has the Gram matrix of x.
    """
    n, d = x.shape
    return x if d <= n else np.linalg.qr(x.T, mode="r").T


def snap(value: float, low: float, high: float) -> float:
    """`value`, or the bound that rounding (1e-9) made it miss."""
    bound = min(max(value, low), high)
    return float(bound if abs(bound - value) < 1e-9 else value)
