"""Procrustes: the nuclear norm is the best rotation, in every mix of widths."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from mettle import measures


def by_rotation(x, y):
    """Squared distance left after rotating y onto x, both padded to one width, with the rotation written out."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(z - z.mean(axis=0), [(0, 0), (0, width - z.shape[1])]) for z in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    turn, _ = orthogonal_procrustes(y, x)
    return np.linalg.norm(y @ turn - x) ** 2


def test_golden(pair, golden):
    ((options, value, tolerance),) = golden("procrustes")
    assert measures.compare("procrustes", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)
    ((options, value, tolerance),) = golden("procrustes display")
    shown = measures.get("procrustes").scale.display(measures.compare("procrustes", *pair, **options))
    assert shown == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("d", "e"), [(3, 4), (3, 60), (60, 3), (60, 90), (20, 20)])
def test_equals_the_best_rotation(d, e):
    rng = np.random.default_rng(d * e)
    x, y = rng.normal(size=(20, d)) - 4, rng.normal(size=(20, e))
    assert measures.compare("procrustes", x, y) == pytest.approx(by_rotation(x, y), abs=1e-12)


def test_no_other_rotation_is_better():
    rng = np.random.default_rng(0)
    x, y = (z - z.mean(axis=0) for z in rng.normal(size=(2, 20, 3)))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    best = measures.compare("procrustes", x, y)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(200)]
    assert best <= min(np.linalg.norm(y @ turn - x) ** 2 for turn in turns)


def test_padding_with_zeros_changes_nothing():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 5))
    wide = np.pad(x, [(0, 0), (0, 40)])
    assert measures.compare("procrustes", wide, y) == pytest.approx(measures.compare("procrustes", x, y), abs=1e-13)


def test_orthogonal_directions_have_the_greatest_distance_of_one_dimension():
    x, y = np.array([[1.0], [-1], [0], [0]]), np.array([[0.0], [0], [1], [-1]])
    assert measures.compare("procrustes", x, y) == pytest.approx(2)


def test_floor_of_wide_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 2000))
    assert 1 - measures.compare("procrustes", x, y) / 2 == pytest.approx(0.94, abs=0.01)


def test_self_distance_is_never_negative():
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(30, 10))
        assert 0 <= measures.compare("procrustes", x, x) < 1e-12


@pytest.mark.parametrize(("n", "d"), [(400, 30), (60, 300)])
def test_float32_is_close_to_float64(n, d):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32) + 5
    y = np.maximum(x[:, : d // 2] - 5 + rng.normal(size=(n, d // 2)), 0).astype(np.float32)
    double = measures.compare("procrustes", x.astype(np.float64), y.astype(np.float64))
    assert measures.compare("procrustes", x, y) == pytest.approx(double, abs=1e-6)
    assert 0 <= measures.compare("procrustes", x, x) < 1e-6


def test_size_and_shape_golden(pair, golden):
    ((options, value, tolerance),) = golden("size_and_shape")
    assert measures.compare("size_and_shape", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("d", "e"), [(3, 4), (3, 60), (60, 90), (20, 20)])
def test_size_and_shape_equals_the_best_rotation(d, e):
    rng = np.random.default_rng(d * e)
    x, y = 3 * rng.normal(size=(20, d)) - 4, rng.normal(size=(20, e))
    width = max(d, e)
    a, b = (np.pad(z - z.mean(axis=0), [(0, 0), (0, width - z.shape[1])]) for z in (x, y))
    turn, _ = orthogonal_procrustes(b, a)
    assert measures.compare("size_and_shape", x, y) == pytest.approx(np.linalg.norm(b @ turn - a), abs=1e-9)


def test_size_and_shape_is_a_metric_that_sees_the_scale():
    for seed in range(20):
        x, y, z = np.random.default_rng(seed).normal(size=(3, 12, 4))
        way = measures.compare("size_and_shape", x, y) + measures.compare("size_and_shape", y, z)
        assert measures.compare("size_and_shape", x, z) <= way
    centred = x - x.mean(axis=0)
    assert measures.compare("size_and_shape", x, 3 * x) == pytest.approx(2 * np.linalg.norm(centred))
