"""Linear centred kernel alignment, unbiased and as first published."""

from dataclasses import dataclass

import numpy as np

from mettle.measures.base import centre, thin


@dataclass(frozen=True)
class State:
    """Centred features (n, d), their squared row norms (n,), and the HSIC of the model with itself."""

    features: np.ndarray
    diagonal: np.ndarray
    own: float


def prepare(features: np.ndarray) -> State:
    """State of one model for unbiased CKA.

    Raises
    ------
    ValueError
        If the unbiased HSIC of the features with themselves is not positive, which makes CKA undefined.
    """
    x = thin(centre(features))
    diagonal = np.einsum("ij,ij->i", x, x)
    own = _unbiased_hsic(x, diagonal, x, diagonal)
    if own <= 0:
        raise ValueError(f"CKA is undefined: the unbiased HSIC of the features with themselves is {own:.3g}")
    return State(x, diagonal, own)


def score(a: State, b: State) -> float:
    """Unbiased linear CKA, at most 1 (equal up to rotation, shift and scale), near 0 for independent data, even below.

    Nguyen et al. 2021 (arXiv:2010.15327), eq. 3, with one minibatch that holds all images.
    """
    return float(_unbiased_hsic(a.features, a.diagonal, b.features, b.diagonal) / np.sqrt(a.own * b.own))


def prepare_biased(features: np.ndarray) -> State:
    """State of one model for biased CKA."""
    x = thin(centre(features))
    return State(x, np.zeros(0), float(np.sum((x.T @ x) ** 2)))


def score_biased(a: State, b: State) -> float:
    """Linear CKA in [0, 1]; 1 is equality up to rotation, shift and scale.

    Kornblith et al. 2019 (arXiv:1905.00414), section 3, linear kernel. Large for independent data when the width is
    comparable with the number of images.
    """
    return float(np.sum((a.features.T @ b.features) ** 2) / np.sqrt(a.own * b.own))


def _unbiased_hsic(x: np.ndarray, x_diagonal: np.ndarray, y: np.ndarray, y_diagonal: np.ndarray) -> float:
    """Unbiased HSIC of linear kernels from d x d products; Song et al. 2012 (JMLR 13), eq. 5.

    With K = X X' less its diagonal k, and centred X, the row sums of K are -k, so that no n x n matrix is needed.
    """
    n = len(x)
    trace = np.sum((x.T @ y) ** 2) - x_diagonal @ y_diagonal
    totals = x_diagonal.sum() * y_diagonal.sum() / ((n - 1) * (n - 2))
    return float((trace + totals - 2 / (n - 2) * (x_diagonal @ y_diagonal)) / (n * (n - 3)))
