"""Kernel matrices of images, and inner products of the kernel matrices of several models."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mettle.measures.base import product, squares

TILE = 1024  # images on each side of the tile of a kernel matrix that is in memory at a time
_BINS = 1 << 15


@dataclass(frozen=True)
class Linear:
    """
    Inner products between images, stored as features or as their Gram matrix, whichever is smaller.

    Attributes
    ----------
    matrix : (n, d) array, or (n, n) if d >= n
        Features, or their Gram matrix.
    width : int
        The number d of feature columns.
    diagonal : (n,) float64 array
        Squared length of every row of features.
    """

    matrix: np.ndarray
    width: int
    diagonal: np.ndarray

    @property
    def is_gram(self) -> bool:
        """Whether `matrix` is the Gram matrix."""
        return self.width >= len(self.matrix)

    def at(self, order: np.ndarray) -> "Linear":
        """The kernel of the images in another order."""
        matrix = self.matrix[np.ix_(order, order)] if self.is_gram else self.matrix[order]
        return replace(self, matrix=matrix, diagonal=self.diagonal[order])

    def tile(self, rows: slice, columns: slice) -> np.ndarray:
        """A piece of the kernel matrix."""
        return self.matrix[rows, columns] if self.is_gram else self.matrix[rows] @ self.matrix[columns].T


def linear(x: np.ndarray) -> Linear:
    """The linear kernel of features (n, d)."""
    n, d = x.shape
    return Linear(x if d < n else product(x.T, x.T).astype(x.dtype), d, squares(x))


@dataclass(frozen=True)
class Rbf:
    """
    Gaussian kernel exp(-|x - y|^2 / (2 s^2)), minus one if it is wide.

    Subtracting one does not change unbiased HSIC, which centres the kernel, but keeps the precision of a wide kernel,
    whose values are all close to one.

    Attributes
    ----------
    features : (n, d) array
    squares : (n,) array
        Squared length of every row, in the features' type.
    scale : float
        1 / (2 s^2).
    wide : bool
        Whether one is subtracted.
    """

    features: np.ndarray
    squares: np.ndarray
    scale: float
    wide: bool

    @property
    def diagonal(self) -> np.ndarray:
        """The kernel of each image with itself, (n,) in float64."""
        return np.full(len(self.features), 0.0 if self.wide else 1.0)

    def at(self, order: np.ndarray) -> "Rbf":
        """The kernel of the images in another order."""
        return replace(self, features=self.features[order], squares=self.squares[order])

    def tile(self, rows: slice, columns: slice) -> np.ndarray:
        """A piece of the kernel matrix."""
        power = distances(self.features, self.squares, rows, columns)
        power *= -self.scale
        return (np.expm1 if self.wide else np.exp)(power, out=power)


def rbf(x: np.ndarray, bandwidth: float) -> Rbf:
    """
    The Gaussian kernel of features (n, d), with s equal to `bandwidth` times the median distance between two images.

    Raises
    ------
    ValueError
        If the median is zero, because half of all pairs of images have the same features.
    """
    lengths = np.vecdot(x, x)
    high = 5 * float(lengths.max())  # above all squared distances, which are at most four times that
    median = _median(lambda: _pairs(x, lengths), high, math.comb(len(x), 2))
    if not median > 0:
        raise ValueError("the median distance between images is zero, so the RBF kernel has no bandwidth")
    return Rbf(x, lengths, 1 / (2 * median) / bandwidth / bandwidth, bandwidth >= 1)


def distances(x: np.ndarray, lengths: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Squared distances between two slices of rows of `x`; `lengths` are the squared lengths of all rows."""
    found = x[rows] @ x[columns].T
    found *= -2
    found += lengths[rows, None]
    found += lengths[columns]
    np.maximum(found, 0, out=found)  # rounding
    if rows == columns:
        np.fill_diagonal(found, 0)
    return found


def tiles(n: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of tiles that cover the upper half of an (n, n) matrix; tiles on the diagonal are complete."""
    for start in range(0, n, TILE):
        for other in range(start, n, TILE):
            yield slice(start, min(start + TILE, n)), slice(other, min(other + TILE, n))


def total(a: Any, b: Any) -> float:
    """Inner product of two kernel matrices: the sum over all pairs of images of the product of their entries."""
    if _by_features((a, b)):
        small = product(a.matrix, b.matrix)
        return float(np.vdot(small, small))
    return float(_by_tiles([a] if a is b else [a, b])[0, -1])


def totals(kernels: Sequence[Any]) -> np.ndarray:
    """
    `total` of every pair of different kernels.

    Parameters
    ----------
    kernels : m kernels of the same n images

    Returns
    -------
    (m, m) float64 array
        Zero on the diagonal.

    Notes
    -----
    Linear kernels of m models with d columns take about m^2 n d^2 operations through the small products x'y of their
    features, and m n^2 d through the kernel matrices, of which one tile per model is in memory at a time. The cheaper
    way is used.
    """
    found = _by_pairs(kernels) if _by_features(kernels) else _by_tiles(kernels)
    np.fill_diagonal(found, 0)
    return found


def _by_pairs(kernels: Sequence[Linear]) -> np.ndarray:
    """Inner products from features; the diagonal stays zero."""
    found = np.zeros((len(kernels), len(kernels)))
    for i, a in enumerate(kernels):
        for j, b in enumerate(kernels[:i]):
            found[i, j] = found[j, i] = total(a, b)
    return found


def _by_tiles(kernels: Sequence[Any]) -> np.ndarray:
    """Inner products from the kernel matrices, with one tile of each in memory at a time."""
    found = np.zeros((len(kernels), len(kernels)))
    for rows, columns in tiles(len(kernels[0].diagonal)):
        piece = np.stack([kernel.tile(rows, columns).ravel() for kernel in kernels], dtype=np.float64)
        found += (1 if rows == columns else 2) * (piece @ piece.T)
    return found


def _by_features(kernels: Sequence[Any]) -> bool:
    """Whether `totals` is cheaper through small products of features."""
    if not all(isinstance(kernel, Linear) and not kernel.is_gram for kernel in kernels):
        return False
    n, m = len(kernels[0].diagonal), len(kernels)
    return (m - 1) * sum(kernel.width for kernel in kernels) <= m * n


def by_row(a: Linear, b: Linear) -> np.ndarray:
    """Inner products of matching rows of two kernel matrices, (n,) in float64."""
    x, y = a.matrix, b.matrix
    if a.is_gram and b.is_gram:
        found = np.vecdot(x, y)
    elif b.is_gram:
        found = np.vecdot(y @ x, x)
    elif a.is_gram:
        found = np.vecdot(x @ y, y)
    else:
        found = np.vecdot(x @ product(x, y).astype(x.dtype), y)
    return found.astype(np.float64)


def row_sums(kernel: Any) -> np.ndarray:
    """Row sums of a kernel matrix without its diagonal, (n,) in float64."""
    found = -kernel.diagonal
    for rows, columns in tiles(len(found)):
        piece = kernel.tile(rows, columns)
        found[rows] += piece.sum(axis=1, dtype=np.float64)
        if rows != columns:
            found[columns] += piece.sum(axis=0, dtype=np.float64)
    return found


def _pairs(x: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances of all pairs of different rows, one tile at a time."""
    for rows, columns in tiles(len(x)):
        found = distances(x, lengths, rows, columns)
        yield found[np.triu_indices(len(found), 1)] if rows == columns else found.ravel()


def _median(pieces: Callable[[], Iterator[np.ndarray]], high: float, count: int) -> float:
    """
    The (lower) median of `count` numbers from 0 to `high` that come in pieces, to a millionth; 0 below 1e-13 of `high`.

    Histograms locate it, each within the median's bin of the one before, so the numbers are never all in memory.
    """
    low, rank = 0.0, (count - 1) // 2
    for _ in range(3):
        if high - low <= 1e-6 * low:
            break
        edges = np.linspace(low, high, _BINS + 1)
        # in float64, so that the counted bins have exactly these edges
        counts = sum(np.histogram(piece.astype(np.float64), _BINS, (low, high))[0] for piece in pieces())
        place = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
        rank -= int(counts[:place].sum())
        low, high = edges[place], edges[place + 1]
    return float(low)
