"""RSA: blocks of products are the distances of scipy, and correlations those of scipy."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from mettle import measures
from mettle.measures import rsa

DISTANCES = ["correlation", "cosine", "euclidean"]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_distances_are_those_of_scipy(distance, block, monkeypatch):
    monkeypatch.setattr(rsa, "_BLOCK", block)
    x = np.random.default_rng(0).normal(size=(40, 6)) + 1
    found, expected = rsa.half_squares(rsa.vectors(x, distance)), pdist(x, distance)
    if distance == "euclidean":  # in units of the longest vector
        found, expected = np.sqrt(2 * found), expected / np.linalg.norm(x - x.mean(axis=0), axis=1).max()
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("correlation", "function"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_equals_the_definition(distance, correlation, function):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5))
    y = np.round(x @ rng.normal(size=(5, 9)) + rng.normal(size=(30, 9)))  # whole numbers: some distances are equal
    expected = function(np.round(pdist(x, distance), 12), np.round(pdist(y, distance), 12)).statistic
    found = measures.compare("rsa", x, y, distance=distance, correlation=correlation)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
def test_copies_of_images_tie(distance):
    """Their distances are equal, not in the order that rounding gives them."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 9)) + 1
    copies = rng.integers(0, 12, 40)
    exact = [np.round(pdist(z[copies], distance), 10) for z in (x, y)]
    expected = spearmanr(*exact).statistic
    assert measures.compare("rsa", x[copies], y[copies], distance=distance) == pytest.approx(expected, abs=1e-12)


def test_correlations_of_two_units_are_one_or_minus_one():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    up = [z[:, 0] < z[:, 1] for z in (x, y)]
    unlike = [np.not_equal.outer(z, z)[np.triu_indices(30, 1)] for z in up]
    expected = np.corrcoef(*unlike)[0, 1]
    assert measures.compare("rsa", x, y) == pytest.approx(expected, abs=1e-12)


def test_three_images_by_hand():
    """Distances of x are 1, 3, 2 and of y 2, 3, 1: ranks correlate by 1 - 6 (1 + 0 + 1) / (3 (9 - 1))."""
    x, y = np.array([[0.0], [1], [3]]), np.array([[0.0], [2], [3]])
    assert measures.compare("rsa", x, y, distance="euclidean") == pytest.approx(0.5)
    assert measures.compare("rsa", x, y, distance="euclidean", correlation="pearson") == pytest.approx(0.5)


def test_only_ranks_matter_to_spearman():
    line = np.array([[0.0], [1], [3], [7], [15]])
    steep = line**2
    options = {"distance": "euclidean"}
    assert measures.compare("rsa", line, steep, **options) == pytest.approx(1)
    assert measures.compare("rsa", line, steep, correlation="pearson", **options) < 0.98


@pytest.mark.parametrize("correlation", ["spearman", "pearson"])
def test_euclidean_distances_are_rigid(correlation):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30, 5))
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 1e4
    options = {"distance": "euclidean", "correlation": correlation}
    assert measures.compare("rsa", turned, y, **options) == pytest.approx(measures.compare("rsa", x, y, **options))
    assert measures.compare("rsa", turned, x, **options) == pytest.approx(1)


@pytest.mark.parametrize("distance", ["correlation", "cosine"])
def test_the_origin_matters_to_directions(distance):
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    moved = x + np.arange(5)
    options = {"distance": distance}
    assert measures.compare("rsa", moved, y, **options) != pytest.approx(measures.compare("rsa", x, y, **options))


def test_length_of_a_row_does_not_matter_to_directions():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    scaled = x * np.linspace(1, 9, 30)[:, None]
    for distance in ("correlation", "cosine"):
        expected = measures.compare("rsa", x, y, distance=distance)
        assert measures.compare("rsa", scaled, y, distance=distance) == pytest.approx(expected)


def test_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 2000))
    for distance in DISTANCES:
        assert measures.compare("rsa", x, y, distance=distance) == pytest.approx(0, abs=0.02)


def test_points_are_shared_and_seeded():
    wide, narrow = (np.random.default_rng(d).normal(size=(100, d)) for d in (9, 3))
    a, b = (measures.prepare("rsa", x, points=20) for x in (wide, narrow))
    assert len(set(a.rows)) == 20
    assert (a.rows == b.rows).all()
    assert a.values.shape == (20 * 19 / 2,)
    score = measures.get("rsa").score
    assert score(a, b) == measures.compare("rsa", wide[a.rows], narrow[a.rows])
    for other in (measures.prepare("rsa", narrow, points=20, seed=1), measures.prepare("rsa", narrow)):
        with pytest.raises(ValueError, match=r"^RSA needs the same images for both models: same number of images, "):
            score(a, other)


def test_all_points_are_all_images():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    assert measures.compare("rsa", x, y, points=30) == pytest.approx(measures.compare("rsa", x, y))


def test_equal_distances_have_no_correlation():
    for distance in DISTANCES:
        with pytest.raises(ValueError, match=r"^rsa of x: RSA is undefined: all distances between images are equal$"):
            measures.compare("rsa", np.eye(8), np.eye(8), distance=distance)


@pytest.mark.parametrize(
    ("distance", "reason"), [("correlation", "is the same in every unit"), ("cosine", "has length 0")]
)
def test_rows_without_direction(distance, reason):
    x = np.random.default_rng(0).normal(size=(20, 3))
    x[5] = 0
    message = f"^rsa of vgg: row 5 {reason}, so it has no {distance}; use distance 'euclidean'$"
    with pytest.raises(ValueError, match=message):
        measures.prepare("rsa", x, who="vgg", distance=distance)
    assert measures.compare("rsa", x, x, distance="euclidean") == pytest.approx(1)


def test_min_images():
    needed = measures.get("rsa").min_images
    assert (needed(5), needed(5, points=40)) == (3, 40)
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^rsa of x: at least 40 images are needed, got 20$"):
        measures.compare("rsa", x, x, points=40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": "l1"}, "distance must be one of 'correlation', 'cosine', 'euclidean', got 'l1'"),
        ({"correlation": "kendall"}, "correlation must be one of 'spearman', 'pearson', got 'kendall'"),
        ({"points": 2}, "points must be a whole number of at least 3, got 2"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_options_without_meaning(options, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"^rsa of x: {message}$"):
        measures.compare("rsa", x, x, **options)
