"""Calibration: the numbers of the authors' code, and what it promises of independent and of equal models."""

import math

import numpy as np
import pytest

from mettle import measures
from mettle.measures import MEASURES
from mettle.measures.calibration import calibrate
from mettle.scales import SCALES, enough_draws

SIMILAR, DISTANT = SCALES["cka_biased"], SCALES["procrustes"]


def as_published(value, null, level, best):
    """Algorithm 1 of Gröger, Wen and Brbić 2026, with a sort written out."""
    both = sorted([value, *null])
    threshold = both[min(max(math.ceil((1 - level) * (len(null) + 1)) - 1, 0), len(null))]
    p = (1 + sum(other >= value for other in null)) / (len(null) + 1)
    return p, threshold, min(max((value - threshold) / max(best - threshold, 1e-12), 0), 1)


@pytest.mark.parametrize("draws", [19, 20, 99, 200])
@pytest.mark.parametrize("level", [0.05, 0.1])
def test_equals_the_published_algorithm(draws, level):
    rng = np.random.default_rng(draws)
    for value in (0.1, 0.5, 0.52, 0.9, 1.0):
        null = (0.3 + 0.25 * rng.random(draws)).tolist()
        found = calibrate(SIMILAR, value, null, level)
        expected = as_published(value, null, level, 1.0)
        assert (found.p, found.threshold, found.calibrated) == pytest.approx(expected, abs=1e-14)


def test_golden(golden):
    """Numbers of the package calibrated-similarity, on scores that it is given."""
    null = [0.3 + 0.2 * math.sin(7 * i) for i in range(99)]
    ((options, value, tolerance),) = golden("calibrated")
    assert calibrate(SIMILAR, 0.7, null, **options).calibrated == pytest.approx(value, rel=0, abs=tolerance)
    ((options, value, tolerance),) = golden("calibrated p")
    assert calibrate(SIMILAR, 0.45, null, **options).p == pytest.approx(value, rel=0, abs=tolerance)


def test_distances_are_calibrated_as_their_negatives():
    null = np.linspace(1.0, 1.5, 39).tolist()
    found = calibrate(DISTANT, 0.25, null)
    flipped = calibrate(SIMILAR, 1 - 0.25, [1 - other for other in null])
    assert found.p == flipped.p == 1 / 40
    assert found.threshold == pytest.approx(1 - flipped.threshold)
    assert found.calibrated == pytest.approx(flipped.calibrated) == pytest.approx(1 - 0.25 / found.threshold)


@pytest.mark.parametrize("name", ["cka", "procrustes", "mutual_knn", "gulp", "distance_correlation"])
def test_a_model_and_itself_is_one_with_the_least_p(name):
    x = np.random.default_rng(0).normal(size=(80, 5))
    found = measures.calibrate(name, x, x, 0, draws=19)
    assert found.calibrated == pytest.approx(1, abs=1e-6) and found.p == 1 / 20


@pytest.mark.parametrize("name", ["cka_biased", "procrustes", "mutual_knn"])
def test_independent_models_are_above_the_threshold_at_the_level_and_p_is_uniform(name):
    found = []
    for seed in range(200):
        x, y = np.random.default_rng(seed).normal(size=(2, 30, 12))
        found.append(measures.calibrate(name, x, y, seed, draws=19, level=0.1))
    above = np.mean([one.calibrated > 0 for one in found])
    assert above < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 200)
    assert np.mean([one.calibrated for one in found]) < 0.01
    p = np.array([one.p for one in found])
    assert abs(p.mean() - 0.525) < 0.07  # of 1/20, ..., 20/20
    assert p.min() >= 0.05 and p.max() <= 1


def test_wide_models_are_not_more_alike_once_calibrated():
    """The point of it: raw scores of independent models rise with the width, calibrated ones do not."""
    raw, calibrated = [], []
    for width in (5, 200):
        x, y = np.random.default_rng(width).normal(size=(2, 50, width))
        found = measures.calibrate("cka_biased", x, y, 0, draws=99)
        raw.append(found.value)
        calibrated.append(found.calibrated)
    assert raw[1] > raw[0] + 0.5
    assert max(calibrated) < 0.01


def test_the_seed_decides():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4))
    assert measures.calibrate("cka", x, y, 1, draws=19) == measures.calibrate("cka", x, y, 1, draws=19)
    assert measures.calibrate("cka", x, y, 1, draws=19) != measures.calibrate("cka", x, y, 2, draws=19)


def test_value_is_that_of_compare_and_the_null_has_the_mean_of_baseline():
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4))
    found = measures.calibrate("cka_biased", x, y, 3, draws=39)
    assert found.value == measures.compare("cka_biased", x, y)
    assert found.threshold > measures.baseline("cka_biased", x, y, 3, draws=39)


@pytest.mark.parametrize(
    ("draws", "level", "fits"), [(18, 0.05, False), (19, 0.05, True), (9, 0.1, True), (0, 0.5, False)]
)
def test_enough_draws(draws, level, fits):
    assert enough_draws(draws, level) == fits


@pytest.mark.parametrize(
    ("draws", "level", "message"),
    [
        (18, 0.05, "a level of 0.05 needs 19 permutations or more, got 18"),
        (99, 0.005, "a level of 0.005 needs 199 permutations or more, got 99"),
        (99, 0, "level must be between 0 and 1, got 0"),
        (99, 1.5, "level must be a number from 0 to 1, got 1.5"),
    ],
)
def test_too_few_draws_for_a_level(draws, level, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        calibrate(SIMILAR, 0.5, [0.1] * draws, level)


@pytest.mark.parametrize("name", [name for name, measure in MEASURES.items() if not measure.scale.by_image])
def test_what_no_order_changes_cannot_be_calibrated(name):
    x, y = np.random.default_rng(0).normal(size=(2, 40, 4)) + 1
    with pytest.raises(
        ValueError, match=f"^{name} does not depend on which image is which, so it cannot be calibrated"
    ):
        measures.calibrate(name, x, y, 0)
