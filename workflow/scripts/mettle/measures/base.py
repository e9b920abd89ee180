"""The definition of a measure, checks that all measures share, and linear algebra that several share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mettle.scales import Scale

_LARGEST = 1e100  # squares of larger features would overflow
_SINGLE = (1e-12, 1e12)  # range of the largest feature of a float32 array whose squares float32 can sum
_ROWS = 2048  # rows of a product that are summed in float32


@dataclass(frozen=True)
class Measure:
    """
    A similarity measure between two representations of the same images.

    Attributes
    ----------
    prepare : callable
        ``prepare(features, **options)``: what the score needs from one model, computed once per model. `features` is
        an (n, d) array, row i from image i.
    score : callable
        ``score(state_a, state_b)``: the raw value of a pair.
    min_images : callable
        ``min_images(width, **options)``: the smallest number of images for which the score is defined, where `width`
        is the number of feature columns, the larger one of a pair.
    scale : Scale
        How to read the raw value, from `mettle.scales.SCALES`.
    invariances : frozenset of str
        Transformations of one representation that do not change the score, from `INVARIANCES`; for the default
        options.
    reference : str
        Where the measure is defined.
    options : mapping
        Options of `prepare` and their defaults.
    symmetric : bool
        Whether ``score(a, b)`` equals ``score(b, a)``; if not, it says how well `a` explains `b`.
    permute : callable or None
        ``permute(state, order)``: what `prepare` would return for the images in another order, an (n,) array of their
        places; None where the state holds too little for it. Without, every order is prepared again.
    table : callable or None
        ``table(states)``: (m, m) scores of all pairs of different models, if that is cheaper than one by one.
    """

    prepare: Callable[..., Any]
    score: Callable[[Any, Any], float]
    min_images: Callable[..., int]
    scale: Scale
    invariances: frozenset[str]
    reference: str
    options: Mapping[str, Any]
    symmetric: bool = True
    permute: Callable[[Any, np.ndarray], Any] | None = None
    table: Callable[[Sequence[Any]], np.ndarray] | None = None


INVARIANCES = frozenset({"orthogonal", "translation", "isotropic scaling", "invertible linear", "permutation"})
RIGID = INVARIANCES - {"invertible linear"}  # a permutation of the columns is an orthogonal transformation


def check(features: Any, name: str) -> np.ndarray:
    """
    Return features as a float32 or float64 array, after checking that they are valid for any measure.

    Parameters
    ----------
    features : (n, d) array-like of real numbers
        Row i comes from image i.
    name : str
        Name of the features in messages, for example the model.

    Returns
    -------
    (n, d) array
        The features themselves if they are float64, or float32 with squares inside the range of float32; otherwise a
        float64 copy.

    Raises
    ------
    ValueError
        If the features are not numbers, not 2-d, empty, not finite (or beyond 1e100), or the same for every image up to
        rounding.
    """
    try:
        x = np.asarray(features)
    except ValueError as error:
        raise ValueError(f"{name}: features must have the same number of dimensions for every image") from error
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{name}: features must be real numbers, got dtype {x.dtype}")
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"{name}: features must have shape (images, dimensions), got {x.shape}")
    high = max(abs(float(x.max())), abs(float(x.min())))  # NaN if one is
    if not high < _LARGEST:
        bad = x.size - np.count_nonzero(np.abs(x.astype(np.float64)) < _LARGEST)
        raise ValueError(f"{name}: {bad} of {x.size} features are NaN, infinite or beyond {_LARGEST:g}")
    if not (x.dtype == np.float32 and _SINGLE[0] < high < _SINGLE[1]):
        x = x.astype(np.float64, copy=False)
    bits = 4 * np.finfo(x.dtype).eps * np.abs(x[0])
    if len(x) > 1 and all((np.abs(rows - x[0]) <= bits).all() for rows in (x[1], x)):  # the first usually decides
        raise ValueError(f"{name}: features are constant over images, all {len(x)} rows are equal up to rounding")
    return x


def reordered(state: np.ndarray, order: np.ndarray) -> np.ndarray:
    """`Measure.permute` of measures whose state has a row per image."""
    return state[order]


def enough(n: int, needed: int) -> None:
    """Raise ValueError if there are fewer images, `n`, than `needed`."""
    if n < needed:
        raise ValueError(f"at least {needed} images are needed, got {n}")


def rounding(dtype: Any) -> float:
    """Rounding error assumed for numbers of size 1 computed in this type: 1e-6 for float32, otherwise 1e-12."""
    return 1e-6 if dtype == np.float32 else 1e-12


def paired(a: int, b: int) -> None:
    """Raise ValueError unless both representations have the same number of images."""
    if a != b:
        raise ValueError(f"both representations need the same images, got {a} and {b}")


def integer(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless the option `name` is a whole number of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def real(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless the option `name` is a finite number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high or math.isinf(value):
        rule = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise ValueError(f"{name} must be a number {rule}, got {value!r}")


def one_of(name: str, value: Any, known: Iterable[Any]) -> None:
    """Raise ValueError unless the option `name` is among the `known` values."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def centred(features: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """Features in `dtype` with the mean of every column subtracted."""
    x = np.asarray(features, dtype=dtype)
    x = x - x.mean(axis=0)
    x -= x.mean(axis=0)  # the rounding error of a mean much larger than the spread
    return x


def unit(features: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """
    Features in `dtype`, centred and scaled to a Frobenius norm of 1.

    Raises
    ------
    ValueError
        If centred features are zero.
    """
    x = centred(features, dtype)
    size = math.sqrt(squares(x).sum())
    if size == 0:
        raise ValueError("the features are constant over images up to rounding")
    x /= x.dtype.type(size)
    return x


def squares(x: np.ndarray) -> np.ndarray:
    """Squared length of each row, in float64."""
    return np.vecdot(x, x).astype(np.float64)


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """
    The small product x'y of tall features, in float64.

    Float32 features are multiplied in float32, which is twice as fast, in blocks of 2,048 images that are summed in
    float64. Each sum is accurate to 1e-6 of the sum of absolute products, even where BLAS adds terms one by one, as it
    does for narrow features on some processors. If `y` is `x`, BLAS does half the work.

    Parameters
    ----------
    x, y : (n, p) and (n, q) arrays

    Returns
    -------
    (p, q) float64 array
    """
    if np.float64 in (x.dtype, y.dtype):
        return x.T @ y
    total = np.zeros((x.shape[1], y.shape[1]))
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        total += x[rows].T @ y[rows]
    return total


def thin(x: np.ndarray) -> np.ndarray:
    """
    Features rotated into at most n dimensions, which keeps all inner products between images.

    Parameters
    ----------
    x : (n, d) array

    Returns
    -------
    (n, min(n, d)) array
        `x` itself if d <= n. Otherwise r.T, where x = r.T q.T with orthonormal q, so that r.T has the Gram matrix of x.
    """
    n, d = x.shape
    return x if d <= n else np.linalg.qr(x.T.astype(np.float64), mode="r").T.astype(x.dtype)


def snap(value: float, low: float, high: float) -> float:
    """`value`, or the bound that it exceeds by rounding only (less than 1e-6, as for float32 features)."""
    bound = min(max(value, low), high)
    return float(bound if abs(bound - value) < 1e-6 else value)
