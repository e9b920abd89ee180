"""
Similarity measures as others' code computes them, from the published formulas: what ours is timed against.

The packages themselves (resi, rob-univ, PyTorch-Model-Compare) are not needed to run the bench.
"""

import math

import numpy as np
import scipy.linalg
import torch
from sklearn.neighbors import NearestNeighbors


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Biased linear CKA in its feature form, as resi and rob-univ: three products per pair, in PyTorch."""
    a, b = (torch.from_numpy(z) for z in (x, y))
    a, b = a - a.mean(0), b - b.mean(0)
    norm = torch.linalg.norm
    return (norm(b.T @ a) ** 2 / (norm(a.T @ a) * norm(b.T @ b))).item()


def cka_minibatch(x: np.ndarray, y: np.ndarray, batches: list[np.ndarray]) -> float:
    """Minibatch CKA, as PyTorch-Model-Compare (torch-cka): both Gram matrices and three HSIC per pair and batch."""
    sums = np.zeros(3)
    for rows in batches:
        k, l = (torch.from_numpy(z[rows]) for z in (x, y))  # noqa: E741
        k, l = k @ k.T, l @ l.T  # noqa: E741
        k.fill_diagonal_(0)
        l.fill_diagonal_(0)
        sums += [_hsic(k, l), _hsic(k, k), _hsic(l, l)]
    return float(sums[0] / math.sqrt(sums[1] * sums[2]))


def _hsic(k: torch.Tensor, l: torch.Tensor) -> float:  # noqa: E741
    """Unbiased HSIC, equation 3 of Nguyen et al. 2021, with its matrix products written out."""
    n, one = len(k), torch.ones(len(k), 1, dtype=k.dtype)
    value = torch.trace(k @ l) + (one.T @ k @ one @ one.T @ l @ one).squeeze() / ((n - 1) * (n - 2))
    return ((value - 2 / (n - 2) * (one.T @ k @ l @ one).squeeze()) / (n * (n - 3))).item()


def procrustes(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Procrustes distance as resi: the narrower padded with zeros, the rotation computed too."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(z - z.mean(0), [(0, 0), (0, width - z.shape[1])]) for z in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return float(np.linalg.norm(x) ** 2 + np.linalg.norm(y) ** 2 - 2 * scipy.linalg.orthogonal_procrustes(x, y)[1])


def jaccard(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Overlap of nearest neighbours by cosine as resi: scikit-learn's neighbours without the first, and sets."""
    a, b = (NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(z).kneighbors(z)[1][:, 1:] for z in (x, y))
    pairs = zip(map(set, a), map(set, b), strict=True)
    return float(np.mean([len(p & q) / len(p | q) for p, q in pairs]))
