"""Aligned cosine similarity and permutation Procrustes: the alignment written out, and the numbers of resi."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from mettle import measures


def padded(x, y):
    width = max(x.shape[1], y.shape[1])
    return [np.pad(z, [(0, 0), (0, width - z.shape[1])]) for z in (x, y)]


@pytest.mark.parametrize("name", ["aligned_cosine", "permutation_procrustes"])
def test_golden(name, pair, golden):
    ((options, value, tolerance),) = golden(name)
    assert measures.compare(name, *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize(("d", "e"), [(3, 4), (7, 3), (5, 5)])
def test_cosines_after_the_best_rotation(d, e, centre):
    rng = np.random.default_rng(d * e)
    x, y = rng.normal(size=(30, d)) + 1, rng.normal(size=(30, e)) - 2
    a, b = padded(*((z - z.mean(axis=0) if centre else z) for z in (x, y)))
    turned = a @ orthogonal_procrustes(a, b)[0]
    cosines = (turned * b).sum(axis=1) / np.linalg.norm(turned, axis=1) / np.linalg.norm(b, axis=1)
    assert measures.compare("aligned_cosine", x, y, centre=centre) == pytest.approx(cosines.mean(), abs=1e-12)


def test_the_length_of_an_image_does_not_change_its_cosine():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    x = np.concatenate([x, -x])  # of mean zero, and still so below
    longer = x * np.tile(rng.uniform(0.5, 2, 30), 2)[:, None]
    assert measures.compare("aligned_cosine", x, longer) > 0.99
    assert measures.compare("procrustes", x, longer) > 0.05


def test_dead_units_change_no_cosine():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 4))
    wide = np.pad(x, [(0, 0), (2, 3)])
    assert measures.compare("aligned_cosine", wide, y) == pytest.approx(measures.compare("aligned_cosine", x, y))


def test_floor_of_wide_independent_features():
    assert measures.floor("aligned_cosine", 100, 1000, 1000, 0) > 0.9
    assert measures.floor("aligned_cosine", 3000, 3, 3, 0) < 0.1


def test_an_image_without_direction():
    x = np.random.default_rng(0).normal(size=(6, 3))
    x[4] = 0
    with pytest.raises(ValueError, match=r"^aligned_cosine of net: row 4 has length 0 .* so it has no cosine$"):
        measures.prepare("aligned_cosine", x, who="net", centre=False)


@pytest.mark.parametrize(("d", "e"), [(4, 4), (2, 5), (5, 2)])
def test_permutation_procrustes_is_the_best_of_all_permutations(d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(10, d)), 2 * rng.normal(size=(10, e)) + 1
    a, b = padded(x, y)
    best = min(np.linalg.norm(a[:, list(order)] - b) for order in permutations(range(max(d, e))))
    assert measures.compare("permutation_procrustes", x, y) == pytest.approx(best, abs=1e-12)


def test_permutation_procrustes_of_normalised_features():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 6))
    moved = 7 * y[:, rng.permutation(6)] - 3
    expected = pytest.approx(measures.compare("permutation_procrustes", x, y, normalise=True), abs=1e-12)
    assert measures.compare("permutation_procrustes", x, moved, normalise=True) == expected
    line = x[:, :1]
    assert measures.compare("permutation_procrustes", line, -line, normalise=True) == pytest.approx(2)


def test_permutation_procrustes_is_at_least_the_best_rotation():
    for seed in range(10):
        x, y = np.random.default_rng(seed).normal(size=(2, 20, 6))
        squared = measures.compare("permutation_procrustes", x, y, normalise=True) ** 2
        assert squared >= measures.compare("procrustes", x, y)


@pytest.mark.parametrize(("name", "option"), [("aligned_cosine", "centre"), ("permutation_procrustes", "normalise")])
def test_options_are_flags(name, option):
    with pytest.raises(ValueError, match=f"^{name} of net: {option} must be one of True, False, got 'no'$"):
        measures.prepare(name, np.eye(4), who="net", **{option: "no"})
