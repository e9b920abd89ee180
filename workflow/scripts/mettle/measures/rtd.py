"""Representation Topology Divergence, Barannikov et al. 2022 (arXiv:2201.00058), with the authors' package's defaults."""

import ctypes
import importlib.util
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform


class State(NamedTuple):
    """Normalised distance matrices of one model, one per subsample, and the engine that makes the barcodes."""

    distances: list[np.ndarray]
    engine: str


def prepare(features: np.ndarray, points: int = 500, trials: int = 10, seed: int = 0, engine: str = "auto") -> State:
    """Distances within seeded subsamples, which depend on (seed, number of images) alone and are thus shared by models.

    Parameters
    ----------
    features : (n, d)
    points : images per subsample; the score grows with it
    trials : subsamples
    seed : of the subsamples
    engine : `ripser` (CPU), `ripser++` (GPU), or `auto`: ripser++ where it imports and there is a GPU

    Raises
    ------
    ValueError
        If points, trials or engine is out of range.
    """
    if points < 2 or trials < 1:
        raise ValueError(f"rtd: needs 2 points and 1 trial or more, got {points} and {trials}")
    rng = np.random.default_rng([seed, len(features)])
    samples = [rng.permutation(len(features))[:points] for _ in range(trials)]
    return on_samples(features, samples, engine)


def on_samples(features: np.ndarray, samples: Iterable[np.ndarray], engine: str = "auto") -> State:
    """State for given subsamples: positions of images, one array per trial."""
    return State([normalised_distances(features[rows]) for rows in samples], _engine(engine))


def score(a: State, b: State) -> float:
    """Mean over subsamples of the divergence in both directions, at least 0; 0 is equality up to motion and scale."""
    values = [
        (divergence(p, q, a.engine) + divergence(q, p, a.engine)) / 2
        for p, q in zip(a.distances, b.distances, strict=True)
    ]
    return float(np.mean(values))


def min_images(points: int = 500, **options: object) -> int:
    """Fewest images: one subsample."""
    return points


def normalised_distances(features: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, n) in units of their 0.9 quantile over all n x n entries, the diagonal included."""
    distances = squareform(pdist(features))
    scale = np.quantile(distances, 0.9)
    if scale == 0:
        raise ValueError("rtd: nine tenths of the distances are zero, most images have equal features")
    return distances / scale


def divergence(a: np.ndarray, b: np.ndarray, engine: str) -> float:
    """Sum of the lengths of the H1 bars that features of b add to those of a; RTD-1 of Barannikov et al., section 2.

    Parameters
    ----------
    a, b : (n, n) normalised distances of the same images
    engine : `ripser` or `ripser++`
    """
    barcode = _ripser_plus(cross(a, b)) if engine == "ripser++" else _ripser(cross(a, b))
    return float(np.sum(barcode[:, 1] - barcode[:, 0]))


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of the doubled cloud, (2 n + 1, 2 n + 1), whose H1 bars make up the divergence.

    Points are A_1..A_n, B_1..B_n and an apex. A_i and A_j are a_ij apart, A_i and B_j a_ij for j <= i only, B_i and
    B_j min(a_ij, b_ij), the apex is at A (0 apart) and at no B. Entries below 1e-6 of the mean of a count as zero. The
    barcode equals that of the package's (2 n, 2 n) matrix, with half of the edges between A and B.
    """
    n = len(a)
    half = np.where(np.tri(n, dtype=bool), a, np.inf)
    whole = np.full((2 * n + 1, 2 * n + 1), np.inf)
    whole[:n, :n] = a
    whole[:n, n:-1], whole[n:-1, :n] = half, half.T
    whole[n:-1, n:-1] = np.minimum(a, b)
    whole[-1, :n] = whole[:n, -1] = 0
    whole[whole < 1e-6 * a.mean()] = 0
    np.fill_diagonal(whole, 0)
    return whole


def _engine(name: str) -> str:
    if name not in ("auto", "ripser", "ripser++"):
        raise ValueError(f"rtd: engine must be auto, ripser or ripser++, got '{name}'")
    if name != "auto":
        return name
    return "ripser++" if importlib.util.find_spec("ripserplusplus") and has_gpu() else "ripser"


@cache
def has_gpu() -> bool:
    """Whether the CUDA driver sees a device; asked without importing torch."""
    try:
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
    except OSError:
        return False
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _ripser(distances: np.ndarray) -> np.ndarray:
    from ripser import ripser

    return ripser(distances, maxdim=1, distance_matrix=True)["dgms"][1]


def _ripser_plus(distances: np.ndarray) -> np.ndarray:
    import ripserplusplus

    lower = distances[np.tril_indices(len(distances), -1)].astype(np.float32)
    bars = ripserplusplus.run("--format lower-distance --dim 1", lower)[1]
    return np.array([(bar[0], bar[1]) for bar in bars], dtype=np.float64).reshape(-1, 2)
