"""Shape metric: an angle, a metric, with Procrustes at one end and CCA at the other."""

import math

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power, orthogonal_procrustes

from mettle import measures


def by_rotation(x, y, alpha):
    """Angle after the best rotation, with whitening and rotation written out, both padded to one width."""
    width = max(x.shape[1], y.shape[1])
    whitened = []
    for z in (x, y):
        z = z - z.mean(axis=0)
        z = z / np.linalg.norm(z)
        z = z @ (alpha * np.eye(z.shape[1]) + (1 - alpha) * fractional_matrix_power(z.T @ z, -0.5))
        whitened.append(np.pad(z, [(0, 0), (0, width - z.shape[1])]))
    x, y = whitened
    turn, _ = orthogonal_procrustes(y, x)
    return math.acos(np.vdot(x, y @ turn) / (np.linalg.norm(x) * np.linalg.norm(y)))


@pytest.mark.parametrize("alpha", [0, 0.3, 0.9, 1])
@pytest.mark.parametrize(("d", "e"), [(3, 4), (10, 6)])
def test_equals_the_best_rotation(alpha, d, e):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(21, d)) @ rng.normal(size=(d, d)) - 4, rng.normal(size=(21, e))
    assert measures.compare("shape", x, y, alpha=alpha) == pytest.approx(by_rotation(x, y, alpha), abs=1e-9)


def test_golden(pair, golden):
    """Without whitening the cosine is the displayed Procrustes similarity."""
    ((_, value, _),) = golden("procrustes display")
    assert measures.compare("shape", *pair) == pytest.approx(math.acos(value), rel=0, abs=1e-13)


def test_whitened_it_is_cca():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 6))
    expected = 4 * measures.compare("cca", x, y) / math.sqrt(4 * 6)
    assert math.cos(measures.compare("shape", x, y, alpha=0)) == pytest.approx(expected)
    bent = x @ rng.normal(size=(4, 4))
    assert measures.compare("shape", bent, y, alpha=0) == pytest.approx(measures.compare("shape", x, y, alpha=0))


def test_nearly_all_of_alpha_is_nearly_no_whitening():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 40))
    assert measures.compare("shape", x, y, alpha=1 - 1e-9) == pytest.approx(measures.compare("shape", x, y), abs=1e-6)


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_no_detour_is_shorter(alpha):
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, z = (rng.normal(size=(15, d)) for d in rng.integers(1, 8, size=3))
        a, b, c = (measures.compare("shape", *both, alpha=alpha) for both in ((x, y), (y, z), (x, z)))
        assert c <= a + b + 1e-12


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_scale_does_not_matter_at_any_alpha(alpha):
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    expected = measures.compare("shape", x, y, alpha=alpha)
    assert measures.compare("shape", 1e4 * x, y, alpha=alpha) == pytest.approx(expected)


def test_angles_in_one_dimension():
    x, y = np.array([[1.0], [-1], [0], [0]]), np.array([[0.0], [0], [1], [-1]])
    assert measures.compare("shape", x, y) == pytest.approx(math.pi / 2)
    assert measures.compare("shape", x, x + y) == pytest.approx(math.pi / 4)
    assert measures.compare("shape", x, -x) == 0
    display = measures.get("shape").scale.display
    assert (display(0), display(math.pi / 2)) == (1, 0)


def test_a_dead_unit_changes_nothing():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 5))
    dead = np.column_stack([x, np.full(40, 0.3)])
    for alpha in (0, 0.5, 1):
        expected = measures.compare("shape", x, y, alpha=alpha)
        assert measures.compare("shape", dead, y, alpha=alpha) == pytest.approx(expected)


def test_floor_of_wide_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 800))
    assert measures.compare("shape", x, y) < 0.4


def test_min_images():
    needed = measures.get("shape").min_images
    assert (needed(100), needed(100, alpha=0.1), needed(100, alpha=0)) == (3, 3, 201)
    x = np.random.default_rng(0).normal(size=(16, 8))
    with pytest.raises(ValueError, match=r"^shape of x: at least 17 images are needed, got 16$"):
        measures.compare("shape", x, x, alpha=0)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "half", False])
def test_alpha_without_meaning(alpha):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^shape of x: alpha must be a number from 0 to 1, got "):
        measures.compare("shape", x, x, alpha=alpha)
