"""Singular value decomposition of features, without the directions that only hold rounding errors."""

from dataclasses import dataclass

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
        Singular values above `TOLERANCE` of the largest, falling; their squares are shares of the variance.
    axes : (r, d) array
        Orthonormal rows: the directions.
    """

    basis: np.ndarray
    values: np.ndarray
    axes: np.ndarray


def spectrum(features: np.ndarray) -> Spectrum:
    """
    Decompose features (n, d) of rank r up to rounding.

    Dead or duplicate units lower the rank r, and do no other harm.

    Raises
    ------
    ValueError
        If the features are constant over images.
    """
    u, s, vt = np.linalg.svd(unit(features), full_matrices=False)
    rank = int(np.count_nonzero(s > TOLERANCE * s[0]))
    return Spectrum(u[:, :rank], s[:rank], vt[:rank])


def more_than_dimensions(width: int) -> int:
    """
    Fewest images that a subspace of `width` dimensions does not fill, once they are centred.

    With fewer, any two models of that width span the same space, and whatever only looks at the span finds them equal.
    """
    return width + 2


def more_than_both(width: int) -> int:
    """
    Fewest images that two subspaces of `width` dimensions need not share any of, once they are centred.

    With fewer, some canonical correlations are 1 whatever the features, nearly all of them at two more than `width`.
    """
    return 2 * width + 1
