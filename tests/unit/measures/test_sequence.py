"""The exact sequence behind RTD: against ripser on many inputs, and part by part against slow forms."""

import itertools
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from ripser import ripser
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from mettle import measures
from mettle.measures import reduction, rtd, sequence


def symmetric(x):
    """Distances from the part below the diagonal, rounded to float32, in which ripser computes."""
    lower = np.tril(x, -1).astype(np.float32).astype(np.float64)
    return lower + lower.T


def arbitrary(rng, n):
    """No metric."""
    return rng.random((n, n))


def integers(rng, n):
    """Many ties."""
    return rng.integers(1, 6, (n, n))


def zeros(rng, n):
    """Many ties, and many distances of zero."""
    return rng.integers(0, 4, (n, n))


def grid(rng, n):
    """Ties and repeated points."""
    x = rng.integers(0, 5, (n, 2))
    return cdist(x, x, "cityblock")


def repeated(rng, n):
    """A third of the points, each several times."""
    x = rng.normal(size=(n, 3))[rng.integers(0, n // 3 + 1, n)]
    return cdist(x, x)


def circle(rng, n):
    """One long bar, and every distance n times."""
    angle = 2 * np.pi * rng.permutation(n) / n
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return cdist(x, x)


def classes(rng, n):
    """Clusters in many dimensions."""
    x = 3 * rng.normal(size=(5, 50))[np.arange(n) % 5] + rng.normal(size=(n, 50))
    return cdist(x, x)


def constant(rng, n):
    """All points equally far apart."""
    return np.ones((n, n))


KINDS = [arbitrary, integers, zeros, grid, repeated, circle, classes, constant]


def both(a, b):
    return sequence.divergences(a, b, sequence.spanning_tree(a), sequence.spanning_tree(b))


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_equals_ripser(first, second):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(5, 40))
        a, b = symmetric(first(rng, n)), symmetric(second(rng, n))
        expected = [rtd.divergence(a, b, "ripser"), rtd.divergence(b, a, "ripser")]
        np.testing.assert_allclose(both(a, b), expected, rtol=0, atol=1e-9)
        assert sequence.divergence(a, b) == both(a, b)[0]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_equals_ripser_on_few_points(n):
    for seed in range(40):
        a, b = (symmetric(zeros(np.random.default_rng([seed, i]), n)) for i in range(2))
        expected = [rtd.divergence(a, b, "ripser"), rtd.divergence(b, a, "ripser")]
        np.testing.assert_allclose(both(a, b), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_points_does_not_matter(kind):
    """However ties are broken, the value is the same."""
    rng = np.random.default_rng(0)
    a, b = symmetric(kind(rng, 40)), symmetric(kind(rng, 40))
    order = rng.permutation(40)
    np.testing.assert_allclose(both(a[order][:, order], b[order][:, order]), both(a, b), rtol=0, atol=1e-9)


def test_noise_of_one_cloud():
    """Nearly equal clouds, where the parts nearly cancel."""
    x = np.random.default_rng(0).normal(size=(100, 20))
    a, b = (symmetric(cdist(y, y)) for y in (x, x + 1e-4 * np.random.default_rng(1).normal(size=x.shape)))
    expected = [rtd.divergence(a, b, "ripser"), rtd.divergence(b, a, "ripser")]
    assert 0 < expected[0] < 0.1
    np.testing.assert_allclose(both(a, b), expected, rtol=0, atol=1e-9)
    assert both(a, a) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_bars_of_one_filtration(kind):
    a = symmetric(kind(np.random.default_rng(1), 40))
    graph = sequence._graph(a)
    births, deaths = ripser(a, distance_matrix=True, maxdim=1)["dgms"][1].astype(np.float64).T
    ends = reduction.pairs(graph)
    paired = ends >= 0
    assert (~paired).sum() == 39  # edges of a spanning tree
    lives = graph.lengths[ends[paired] // 40] - graph.lengths[paired]
    np.testing.assert_allclose(np.sort(lives[lives > 0]), np.sort(deaths - births), atol=1e-6)
    assert lives.sum() == pytest.approx((deaths - births).sum(), abs=1e-9)


def image_by_reduction(late, early):
    """Summed bars of the image of H1(late) in H1(early): triangles by their place in early, edges in late."""
    n = range(len(late))
    edges = sorted(itertools.combinations(n, 2), key=lambda e: late[e])
    place = {edge: i for i, edge in enumerate(edges)}
    death = {t: max(early[e] for e in itertools.combinations(t, 2)) for t in itertools.combinations(n, 3)}
    reduced, total = {}, 0.0
    for triangle in sorted(death, key=death.get):
        column = {place[edge] for edge in itertools.combinations(triangle, 2)}
        while column and max(column) in reduced:
            column ^= reduced[max(column)]
        if column:
            reduced[max(column)] = column
            total += max(death[triangle] - late[edges[max(column)]], 0)
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_bars_of_an_image(kind):
    rng = np.random.default_rng(2)
    a, b = symmetric(kind(rng, 14)), symmetric(kind(rng, 14))
    graph = sequence._graph(np.minimum(a, b))
    births = a[graph.ends[:, 0], graph.ends[:, 1]]
    triangles = reduction.pairs(graph)
    found = reduction.image_bars(graph, np.sort(triangles[triangles >= 0]), births, np.argsort(births, kind="stable"))
    assert found == pytest.approx(image_by_reduction(a, np.minimum(a, b)), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_spanning_tree(kind):
    for n in (2, 3, 30):
        a = symmetric(kind(np.random.default_rng(n), n))
        longer = minimum_spanning_tree(a + 1 - np.eye(n)).sum()  # scipy takes a weight of zero for no edge
        assert sequence.spanning_tree(a) == pytest.approx(longer - (n - 1), abs=1e-9)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a[:4],
        lambda a: a[:4, :4],
        lambda a: a[0],
        lambda a: np.where(a == a.max(), np.nan, a),
        lambda a: np.where(a == a.max(), np.inf, a),
        lambda a: a * np.arange(1, 6),
    ],
)
def test_unfit_distances(spoil):
    a = symmetric(arbitrary(np.random.default_rng(0), 5))
    for pair in ((a, spoil(a)), (spoil(a), a)):
        with pytest.raises(ValueError, match=r"^RTD needs two symmetric \(n, n\) arrays of finite distances$"):
            rtd.divergence(*pair)


def test_numba_is_imported_when_it_is_needed():
    code = "import sys, mettle.measures; print({'numba', 'gph'} & set(sys.modules))"
    path = Path(measures.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_a_place_for_machine_code_it_is_compiled_in_every_process():
    made = {}
    exec("def double(x): return 2 * x", made)  # stands in no file, so has no folder beside it
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(made["double"])
    assert reduction.compiled(made["double"])(3) == 6
    assert reduction.compiled(symmetric).stats.cache_path


def test_too_many_points(monkeypatch):
    monkeypatch.setattr(sequence, "MOST", 4)
    a = symmetric(arbitrary(np.random.default_rng(0), 5))
    with pytest.raises(ValueError, match=r"^RTD takes at most 4 points, got 5$"):
        rtd.divergence(a, a)


def test_entries_of_heaps_fit_into_64_bits():
    edges = reduction.MOST * (reduction.MOST - 1) // 2
    assert edges * reduction.MOST * edges < np.iinfo(np.int64).max
