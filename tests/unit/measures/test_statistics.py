"""Magnitude, concentricity and uniformity: exact values on simple clouds, and what they do not see."""

import numpy as np
import pytest

from mettle import measures


def value(name, x):
    return measures.prepare(name, x).value


def test_magnitude_is_the_length_of_the_mean():
    x = np.array([[3.0, 0], [3, 8], [3, 4]])
    assert value("magnitude", x) == 5
    assert value("magnitude", x - x.mean(axis=0)) == 0
    assert measures.compare("magnitude", x, 3 * x) == 10


def test_concentricity_is_the_mean_cosine_with_the_mean():
    x = np.array([[1.0, 0], [0, 1]])
    assert value("concentricity", x) == pytest.approx(np.sqrt(0.5))
    assert value("concentricity", np.array([[1.0, 2], [3, 6]])) == pytest.approx(1)
    assert measures.compare("concentricity", x, np.array([[1.0, 2], [3, 6]])) == pytest.approx(1 - np.sqrt(0.5))


def test_concentricity_equals_the_plain_loop():
    x = np.random.default_rng(0).normal(size=(50, 7)) + 1
    mean = sum(x) / 50
    cosines = [row @ mean / (np.linalg.norm(row) * np.linalg.norm(mean)) for row in x]
    assert value("concentricity", x) == pytest.approx(np.mean(cosines), abs=1e-14)


def test_concentricity_can_be_negative():
    """One long vector carries the mean against three short ones."""
    x = np.array([[10.0], [-1], [-1], [-1]])
    assert value("concentricity", x) == -0.5


def test_which_image_is_which_does_not_matter():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5)) + 1
    for name in ("magnitude", "concentricity", "uniformity"):
        expected = measures.compare(name, x, y)
        assert measures.compare(name, x[::-1], y) == pytest.approx(expected)
        assert measures.compare(name, x, x[::-1]) == pytest.approx(0, abs=1e-14)


def test_sums_are_in_float64():
    x = np.full((100_000, 2), 1.1, dtype=np.float32)
    x[0] = 0.5
    exact = np.linalg.norm(x.astype(np.float64).mean(axis=0))
    assert value("magnitude", x) == pytest.approx(exact, rel=1e-14)


def test_rows_without_direction():
    x = np.random.default_rng(0).normal(size=(20, 3)) + 1
    x[4] = 0
    with pytest.raises(ValueError, match=r"^concentricity of vgg: row 4 has length 0, so it has no cosine$"):
        measures.prepare("concentricity", x, who="vgg")
    with pytest.raises(ValueError, match=r"^concentricity of vgg: the mean of the features is zero, so it has no"):
        measures.prepare("concentricity", [[1, 2], [-1, -2]], who="vgg")


def test_uniformity_golden(pair, golden):
    ((options, expected, tolerance),) = golden("uniformity")
    assert measures.compare("uniformity", *pair, **options) == pytest.approx(expected, rel=0, abs=tolerance)


def test_uniformity_equals_the_plain_loop():
    x = np.random.default_rng(0).normal(size=(30, 3))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for options, points in (({}, unit), ({"sphere": False}, x)):
        mean = np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a in points for b in points])
        found = measures.prepare("uniformity", x, **options).value
        assert found == pytest.approx(np.log(mean), abs=1e-13)


def test_uniformity_over_several_tiles(monkeypatch):
    x = np.random.default_rng(0).normal(size=(100, 3))
    expected = value("uniformity", x)
    monkeypatch.setattr("mettle.measures.kernels.TILE", 32)
    assert value("uniformity", x) == pytest.approx(expected, abs=1e-13)


def test_uniformity_of_opposite_points_and_of_one_direction():
    assert value("uniformity", np.array([[1.0, 0], [-2, 0]])) == pytest.approx(np.log((2 + 2 * np.exp(-8)) / 4))
    assert value("uniformity", np.array([[1.0, 2], [3, 6]])) == pytest.approx(0)


def test_uniformity_of_features_as_they_are_says_nothing_where_they_are_large():
    x, y = 30 * np.random.default_rng(0).normal(size=(2, 50, 8))
    assert measures.compare("uniformity", x, y[:, :3], sphere=False) == pytest.approx(0, abs=1e-9)
    assert measures.compare("uniformity", x, y[:, :3]) > 0.1


def test_uniformity_needs_directions():
    x = np.random.default_rng(0).normal(size=(5, 3))
    x[2] = 0
    with pytest.raises(ValueError, match=r"^uniformity of net: row 2 has length 0 .* so it has no cosine$"):
        measures.prepare("uniformity", x, who="net")
    assert measures.prepare("uniformity", x, sphere=False).images == 5
    with pytest.raises(ValueError, match=r"^uniformity of net: sphere must be one of True, False, got 1.5$"):
        measures.prepare("uniformity", x, who="net", sphere=1.5)
