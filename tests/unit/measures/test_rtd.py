"""RTD: golden values, the authors' matrix, a barcode computed by hand from boundary matrices, and all engines."""

import itertools
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
from ripser import ripser
from scipy.spatial.distance import cdist

from mettle import cuda, measures
from mettle.measures import rtd, sequence

CPU = {"sequence": 1e-12, "ripser": 1e-6}  # relative errors: ripser computes in float32


def distances(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return rtd.normalised_distances(x)


def authors_weights(a, b):
    """The matrix that the authors' code hands to ripser++: no distances within the first copy of the points."""
    weights = np.block([[np.zeros_like(a), a], [a.T, np.minimum(a, b)]])
    return np.where(weights < 1e-6 * a.mean(), 0, weights)


def h1_by_reduction(weights):
    """Summed H1 bar lengths by reducing the boundary matrix over Z/2 column by column."""
    size = range(len(weights))
    simplices = [s for k in (1, 2, 3) for s in itertools.combinations(size, k)]
    born = {s: max((weights[i, j] for i, j in itertools.combinations(s, 2)), default=0.0) for s in simplices}
    order = sorted(simplices, key=lambda s: (born[s], len(s), s))
    place = {s: i for i, s in enumerate(order)}
    reduced, total = {}, 0.0
    for s in order:
        column = {place[face] for face in itertools.combinations(s, len(s) - 1)} if len(s) > 1 else set()
        while column and max(column) in reduced:
            column ^= reduced[max(column)]
        if column:
            reduced[max(column)] = column
            total += born[s] - born[order[max(column)]] if len(s) == 3 else 0
    return total


@pytest.mark.parametrize("engine", CPU)
def test_golden(pair, golden, engine):
    a, b = (rtd.normalised_distances(x) for x in pair)
    for quantity, (x, y) in {"a to b": (a, b), "b to a": (b, a)}.items():
        ((_, value, tolerance),) = golden(f"rtd {quantity}")
        assert rtd.divergence(x, y, engine) == pytest.approx(value, rel=0, abs=tolerance)
        ((_, count, _),) = golden(f"rtd bars {quantity}")
        assert len(rtd.bars(x, y)) == count
    ((options, value, tolerance),) = golden("rtd")
    found = measures.compare("rtd", *pair, **options | {"engine": engine})
    assert found == pytest.approx(value, rel=0, abs=tolerance)


def readme(points, trials):
    """The clouds in the README of IlyaTrofimov/RTD, and their subsamples."""
    generator = np.random.RandomState(7)  # the stream that np.random.seed(7) starts
    clouds, rows = (generator.rand(1000, 2), generator.rand(1000, 2)), []
    for _ in range(trials):
        order = np.arange(1000)
        generator.shuffle(order)
        rows.append(order[:points])
    return [rtd.prepare_rows(x, np.array(rows)) for x in clouds]


def rounded(clouds):
    """Distances rounded to float32, in which ripser, so the golden value, has them."""
    distances = clouds.distances.astype(np.float32).astype(np.float64)
    return replace(clouds, distances=distances, trees=np.array([sequence.spanning_tree(d) for d in distances]))


def test_published_example(golden):
    ((options, value, tolerance),) = golden("rtd readme")
    score = measures.get("rtd").score(*map(rounded, readme(**options)))
    assert score == pytest.approx(value, rel=0, abs=tolerance)
    ((_, published, tolerance),) = golden("rtd readme published")
    assert score == pytest.approx(published, rel=0, abs=tolerance)


@pytest.mark.parametrize("engine", CPU)
@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_reduction(seed, engine):
    a, b = distances(7, 2, seed), distances(7, 3, seed + 10)
    plain = h1_by_reduction(authors_weights(a, b))
    assert plain > 0.05
    assert rtd.divergence(a, b, engine) == pytest.approx(plain, rel=CPU[engine])


@pytest.mark.parametrize("d", [2, 50])
def test_equals_the_form_of_the_authors_code(d):
    a, b = distances(60, d, 0), distances(60, 5, 1)
    full = ripser(authors_weights(a, b), distance_matrix=True, maxdim=1)["dgms"][1]
    full = full[np.lexsort(full.T)]
    ours = rtd.bars(a, b)
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], full)


def test_bars_end_without_the_radius():
    a, b = distances(40, 3, 0), distances(40, 3, 1)
    assert np.isfinite(rtd.bars(a, b)).all()
    free = rtd._ripser(rtd._weights(a, b), np.inf)
    assert (free[:, 1] - free[:, 0]).sum() == pytest.approx(rtd.divergence(a, b, "ripser"), abs=1e-12)


def test_direction_matters():
    a, b = distances(40, 2, 0), distances(40, 6, 1)
    assert abs(rtd.divergence(a, b) - rtd.divergence(b, a)) > 0.1


@pytest.mark.parametrize("engine", CPU)
def test_score_is_the_mean_of_trials_and_directions(engine):
    x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    options = {"points": 20, "trials": 3, "seed": 4}
    each = []
    for rows in rtd.subsamples(50, **options):
        a, b = rtd.normalised_distances(x[rows]), rtd.normalised_distances(y[rows])
        each += [rtd.divergence(a, b, engine), rtd.divergence(b, a, engine)]
    assert measures.compare("rtd", x, y, engine=engine, **options) == pytest.approx(np.mean(each), rel=1e-12)


def test_distances_are_divided_by_their_quantile():
    x = np.random.default_rng(0).normal(size=(30, 4))
    plain = cdist(x, x)
    np.testing.assert_allclose(rtd.normalised_distances(x), plain / np.quantile(plain.ravel(), 0.9), atol=1e-14)
    assert np.quantile(rtd.normalised_distances(5 * x), 0.9) == pytest.approx(1)


def test_tiny_distances_count_as_zero():
    """Points that the second cloud nearly merges are born at exactly zero, as if it merged them."""
    x, y = np.random.default_rng(0).normal(size=(2, 30, 3))
    a = rtd.normalised_distances(y)
    for gap, zeros in ((0, 15), (1e-9, 15), (1e-3, 0)):
        b = rtd.normalised_distances(np.concatenate([x[:15], x[:15] + gap]))
        born = rtd.bars(a, b)[:, 0]
        assert (born == 0).sum() == zeros
        assert (born[born > 0] > 1e-6).all()
        assert rtd.divergence(a, b) == pytest.approx(rtd.divergence(a, b, "ripser"), rel=1e-6)


def test_subsamples_are_shared_and_seeded():
    first = rtd.subsamples(100, 40, 3, seed=0)
    assert first.shape == (3, 40)
    assert all(len(set(row)) == 40 and min(row) >= 0 and max(row) < 100 for row in first)
    assert (first == rtd.subsamples(100, 40, 3, seed=0)).all()
    assert (first[:2] == rtd.subsamples(100, 40, 2, seed=0)).all()
    assert (first != rtd.subsamples(100, 40, 3, seed=1)).any()
    assert (first[0] != first[1]).any()
    wide, narrow = (np.random.default_rng(d).normal(size=(100, d)) for d in (9, 2))
    options = {"points": 40, "trials": 3}
    assert (measures.prepare("rtd", wide, **options).rows == measures.prepare("rtd", narrow, **options).rows).all()


def test_same_score_whatever_the_global_generator():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    options = {"points": 20, "trials": 2}
    np.random.seed(0)
    first = measures.compare("rtd", x, y, **options)
    np.random.seed(1)
    assert measures.compare("rtd", x, y, **options) == first
    assert measures.compare("rtd", x, y, seed=1, **options) != first


def test_other_subsamples_are_refused():
    x = np.random.default_rng(0).normal(size=(50, 3))
    a = measures.prepare("rtd", x, points=20, trials=2)
    for options in ({"seed": 1}, {"points": 19}, {"trials": 3}):
        b = measures.prepare("rtd", x, **{"points": 20, "trials": 2} | options)
        with pytest.raises(ValueError, match=r"^RTD needs the same subsamples for both"):
            measures.get("rtd").score(a, b)


def test_nearly_all_images_equal():
    x = np.zeros((40, 3))
    x[0] = 1
    with pytest.raises(ValueError, match=r"^rtd of net: RTD is undefined: the 0.9 quantile .* is zero$"):
        measures.prepare("rtd", x, who="net", points=40)


def test_min_images():
    needed = measures.get("rtd").min_images
    assert (needed(8), needed(8, points=30, trials=2)) == (500, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 2}, "points must be a whole number of at least 3, got 2"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"points": 21}, "at least 21 images are needed, got 20"),
        ({"engine": "gudhi"}, r"engine must be one of 'auto', 'sequence', .*'ripser\+\+', 'giotto', got 'gudhi'"),
    ],
)
def test_options_without_meaning(options, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"^rtd of x: {message}$"):
        measures.compare("rtd", x, x, **{"points": 20} | options)


@pytest.fixture
def stand_in(monkeypatch):
    """A package that answers like ripserplusplus, by way of ripser, on a machine said to have a CUDA device."""
    calls = []

    def run(arguments, lower):
        calls.append(arguments)
        _, _, _, dimension, _, threshold = arguments.split()
        size = int((1 + np.sqrt(1 + 8 * len(lower))) / 2)
        weights = np.zeros((size, size))
        weights[np.tril_indices(size, -1)] = lower
        weights += weights.T
        found = ripser(weights, distance_matrix=True, maxdim=int(dimension), thresh=float(threshold))["dgms"]
        kind = np.dtype([("birth", "<f4"), ("death", "<f4")])
        return {d: np.array([tuple(bar) for bar in bars], dtype=kind) for d, bars in enumerate(found)}

    package = ModuleType("ripserplusplus")
    package.run, package.__spec__ = run, ModuleSpec("ripserplusplus", None)
    monkeypatch.setitem(sys.modules, "ripserplusplus", package)
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    return calls


def test_auto_is_the_exact_sequence(stand_in, pair):
    found = {engine: measures.compare("rtd", *pair, points=40, engine=engine) for engine in ("auto", "sequence")}
    assert found["auto"] == found["sequence"]
    assert not stand_in


def test_gpu_engine_is_called_as_documented(stand_in, pair):
    options = {"points": 40, "trials": 1}
    expected = measures.compare("rtd", *pair, engine="ripser", **options)
    assert not stand_in
    assert measures.compare("rtd", *pair, engine="ripser++", **options) == pytest.approx(expected, rel=1e-6)
    assert len(stand_in) == 2
    assert all(call.startswith("--format lower-distance --dim 1 --threshold ") for call in stand_in)


def test_gpu_engine_without_bars(stand_in, monkeypatch):
    monkeypatch.setattr(sys.modules["ripserplusplus"], "run", lambda arguments, lower: {0: np.array([])})
    assert rtd.bars(distances(10, 2, 0), distances(10, 2, 1), "ripser++").shape == (0, 2)


def test_gpu_engine_needs_a_device(stand_in, monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"^engine 'ripser\+\+' needs the package ripserplusplus and a CUDA device"):
        rtd._resolve("ripser++")


def test_gpu_engine_needs_its_package(stand_in, monkeypatch):
    monkeypatch.setattr(rtd, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^engine 'ripser\+\+' needs the package ripserplusplus and a CUDA device"):
        rtd._resolve("ripser++")


def test_giotto_needs_its_package(monkeypatch):
    monkeypatch.setattr(rtd, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^engine 'giotto' needs the package giotto-ph; use 'auto' or 'ripser'$"):
        rtd._resolve("giotto")


def agree(engine, points, tolerance):
    """The engine gives the value of the exact sequence, for points in the plane and in more dimensions."""
    a, b = distances(points, 2, 0), distances(points, 30, 1)
    for x, y in ((a, b), (b, a)):
        assert rtd.divergence(x, y, engine) == pytest.approx(rtd.divergence(x, y), rel=tolerance)


def test_ripser_agrees():
    agree("ripser", 70, 1e-6)


def test_giotto_agrees():
    pytest.importorskip("gph", reason="the package giotto-ph (AGPL, optional) is not installed")
    agree("giotto", 70, 1e-5)


@pytest.mark.gpu
def test_gpu_engine_agrees():
    if not cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("ripserplusplus", reason="the package ripserplusplus is not installed")
    agree("ripser++", 70, 1e-5)
