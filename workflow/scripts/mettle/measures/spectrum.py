"""Singular value decomposition of features, without directions that only contain rounding errors."""

from dataclasses import dataclass, replace

import numpy as np

from mettle.measures.base import unit

# Of the largest singular value. Features come from networks in float32, which rounds entries to 6e-8 of their size.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """
    Centred features of Frobenius norm 1, ``basis * values @ axes``.

    Attributes
    ----------
    basis : (n, r) array
        Orthonormal columns, one per direction in which the features vary.
    values : (r,) array
        Singular values above `TOLERANCE` times the largest, in descending order; their squares are shares of the
        variance.
    axes : (r, d) array
        Orthonormal rows, the directions.
    """

    basis: np.ndarray
    values: np.ndarray
    axes: np.ndarray


def spectrum(features: np.ndarray) -> Spectrum:
    """
    Decompose features (n, d) of rank r up to rounding.

    Dead or duplicate units only lower the rank r.

    Raises
    ------
    ValueError
        If the features are constant over images.
    """
    return decompose(unit(features))


def decompose(x: np.ndarray) -> Spectrum:
    """The same of features (n, d) as they are, not centred."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    rank = int(np.count_nonzero(s > TOLERANCE * s[0]))
    return Spectrum(u[:, :rank], s[:rank], vt[:rank])


def permute(parts: Spectrum, order: np.ndarray) -> Spectrum:
    """The spectrum of the features of the images in another order."""
    return replace(parts, basis=parts.basis[order])


def more_than_dimensions(width: int) -> int:
    """
    The smallest number of centred images whose space is larger than a subspace of `width` dimensions.

    With fewer, any two models of that width span the same space, and measures of the span alone find them equal.
    """
    return width + 2


def more_than_both(width: int) -> int:
    """
    The smallest number of centred images in whose space two subspaces of `width` dimensions need not intersect.

    With fewer, some canonical correlations are 1 for any features, and nearly all of them with `width` + 2 images.
    """
    return 2 * width + 1
