"""Representation topology divergence (RTD)."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform

from mettle import cuda
from mettle.measures.base import RIGID, Measure, enough, integer, one_of
from mettle.scales import SCALES


@dataclass(frozen=True)
class Clouds:
    """
    One model's part of RTD.

    Attributes
    ----------
    rows : (trials, points) int array
        Images of each subsample.
    distances : (trials, points, points) array
        Distances within each subsample, see `normalised_distances`.
    trees : (trials,) array
        Weights of their minimum spanning trees.
    engine : str
        What computes RTD: "sequence" or a key of `BARCODES`.
    """

    rows: np.ndarray
    distances: np.ndarray
    trees: np.ndarray
    engine: str


def min_images(width: int, points: int = 500, **_: Any) -> int:
    """The number of images in one subsample; ValueError if `points` is not a whole number of at least 3."""
    integer("points", points, 3)
    return points


def prepare(features: np.ndarray, points: int = 500, trials: int = 10, seed: int = 0, engine: str = "auto") -> Clouds:
    """
    Distances within subsamples of the images.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i.
    points : int
        Images per subsample, at least 3, since any two models are equal on two images. RTD grows with it: compare only
        scores with equal `points`.
    trials : int
        Subsamples, at least 1.
    seed : int
        Seed of the subsamples; all models with n images get the same ones.
    engine : {"auto", "sequence", "ripser", "ripser++", "giotto"}
        What computes RTD: the exact sequence of `mettle.measures.sequence`, which "auto" selects; or, for comparison, a
        barcode by ripser, by ripser++ on a CUDA device, or by giotto-ph. They agree to float32, the precision of the
        barcodes.

    Raises
    ------
    ValueError
        If an option is invalid, if there are fewer images than `points`, if the requested engine cannot run here, or if
        nearly all images of a subsample have the same features.
    """
    integer("trials", trials, 1)
    integer("seed", seed, 0)
    enough(len(features), min_images(features.shape[1], points))
    return prepare_rows(features, subsamples(len(features), points, trials, seed), engine)


def prepare_rows(features: np.ndarray, rows: np.ndarray, engine: str = "auto") -> Clouds:
    """Like `prepare`, for given subsamples: `rows` is a (trials, points) array of image indices."""
    from mettle.measures import sequence

    engine = _resolve(engine)
    x = np.asarray(features, dtype=np.float64)
    distances = np.stack([normalised_distances(x[subset]) for subset in rows])
    return Clouds(np.asarray(rows), distances, np.array([sequence.spanning_tree(d) for d in distances]), engine)


def subsamples(n: int, points: int, trials: int, seed: int) -> np.ndarray:
    """(trials, points) indices below `n`, without repeats in a row; each row is determined by `seed` and `n`."""
    rng = np.random.default_rng([seed, n])
    return np.stack([rng.permutation(n)[:points] for _ in range(trials)])


def normalised_distances(x: np.ndarray) -> np.ndarray:
    """
    Euclidean distances between rows, divided by the 0.9 quantile of all n^2 entries, including the zero diagonal.

    Distances below 1e-6 of the mean count as zero.

    Raises
    ------
    ValueError
        If that quantile is zero, as at least nine in ten distances are.
    """
    distances = squareform(pdist(x))
    scale = np.quantile(distances, 0.9)
    if scale == 0:
        raise ValueError("RTD is undefined: the 0.9 quantile of the distances within a subsample is zero")
    distances[distances < 1e-6 * distances.mean()] = 0
    return distances / scale


def score(a: Clouds, b: Clouds) -> float:
    """
    RTD of two models on the same images: mean over subsamples and over both directions.

    Returns
    -------
    float
        At least 0, without upper bound; 0 for features equal up to rotation, translation and scale.

    Raises
    ------
    ValueError
        If the subsamples of the two models differ.

    Notes
    -----
    Barannikov et al. 2022 (arXiv:2201.00058), algorithms 1 and 2: the sum of the lengths of the H1 bars, not divided
    by the number of points. The authors set distances below 1e-6 of the first cloud's mean to zero in both clouds; we
    use each cloud's own mean, so that both directions share most of the work.
    """
    shared_rows(a, b)
    return float(np.mean([_both(a, b, trial) for trial in range(len(a.rows))]))


def shared_rows(a: Clouds, b: Clouds) -> None:
    """Raise ValueError unless both models have the same subsamples."""
    if not np.array_equal(a.rows, b.rows):
        raise ValueError("RTD needs the same subsamples for both models: same images, points, trials and seed")


def _both(a: Clouds, b: Clouds, trial: int) -> tuple[float, float]:
    """Both directions of RTD in one subsample."""
    x, y = a.distances[trial], b.distances[trial]
    if a.engine == "sequence":
        from mettle.measures import sequence

        return sequence.divergences(x, y, a.trees[trial], b.trees[trial])
    return divergence(x, y, a.engine), divergence(y, x, a.engine)


def divergence(a: np.ndarray, b: np.ndarray, engine: str = "sequence") -> float:
    """
    One direction of RTD: the total length of the bars that `bars` returns.

    Parameters
    ----------
    a, b : (n, n) arrays
        Normalised distances.
    engine : str
        "sequence" or a key of `BARCODES`.
    """
    if engine == "sequence":
        from mettle.measures import sequence

        return sequence.divergence(a, b)
    births, deaths = bars(a, b, engine).T
    return float((deaths - births).sum())


def bars(a: np.ndarray, b: np.ndarray, engine: str = "ripser") -> np.ndarray:
    """
    Barcode of dimension 1 that compares two clouds with matching points.

    Parameters
    ----------
    a, b : (n, n) arrays
        Normalised distances; bars appear where points that are close in either cloud are far apart in `a`.
    engine : str
        A key of `BARCODES`.

    Returns
    -------
    (m, 2) array
        Births and deaths, all finite.

    Notes
    -----
    From the radius at which one point of `a` reaches all others, the complex is a cone and has no bars, so longer edges
    can be left out.
    """
    return BARCODES[engine](_weights(a, b), a.max(axis=1).min())


def _weights(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Weights of the graph on two copies of the points and an apex; infinite where there is no edge.

    This is the matrix of the paper. The authors' code connects each point of the first copy to all of the second, with
    weight zero within the first copy, which gives the same bars but has more edges.
    """
    n = len(a)
    half = np.where(np.tri(n, k=-1, dtype=bool), np.inf, a)
    apex, none = np.zeros((n, 1)), np.full((n, 1), np.inf)
    return np.block([[a, half, apex], [half.T, np.minimum(a, b), none], [apex.T, none.T, np.zeros((1, 1))]])


def _ripser(weights: np.ndarray, radius: float) -> np.ndarray:
    """H1 bars on the CPU."""
    from ripser import ripser

    return ripser(weights, distance_matrix=True, maxdim=1, thresh=radius)["dgms"][1]


def _ripser_gpu(weights: np.ndarray, radius: float) -> np.ndarray:
    """H1 bars on a CUDA device, in float32; the threshold is rounded up because it is passed as text."""
    from ripserplusplus import run

    lower = weights[np.tril_indices(len(weights), k=-1)].astype(np.float32)
    reach = np.nextafter(np.float32(radius), np.float32(np.inf))
    found = run(f"--format lower-distance --dim 1 --threshold {reach:.9g}", lower).get(1, ())
    return np.array([(float(birth), float(death)) for birth, death in found]).reshape(-1, 2)


def _giotto(weights: np.ndarray, radius: float) -> np.ndarray:
    """H1 bars on the CPU by giotto-ph, which is licensed under the AGPL and therefore never the default."""
    from gph import ripser_parallel

    return ripser_parallel(weights, metric="precomputed", maxdim=1, thresh=radius, n_threads=1)["dgms"][1]


BARCODES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "ripser": _ripser,
    "ripser++": _ripser_gpu,
    "giotto": _giotto,
}


def _resolve(engine: str) -> str:
    """The engine to use; ValueError if it is unknown or cannot run here."""
    one_of("engine", engine, ("auto", "sequence", *BARCODES))
    if engine == "ripser++" and not (find_spec("ripserplusplus") is not None and cuda.is_available()):
        raise ValueError("engine 'ripser++' needs the package ripserplusplus and a CUDA device; use 'auto' or 'ripser'")
    if engine == "giotto" and find_spec("gph") is None:
        raise ValueError("engine 'giotto' needs the package giotto-ph; use 'auto' or 'ripser'")
    return "sequence" if engine == "auto" else engine


MEASURE = Measure(
    prepare=prepare,
    score=score,
    min_images=min_images,
    scale=SCALES["rtd"],
    invariances=RIGID,
    reference="Barannikov et al. 2022 (arXiv:2201.00058), algorithms 1 and 2",
    options={"points": 500, "trials": 10, "seed": 0, "engine": "auto"},
)
