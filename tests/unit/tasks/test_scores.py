"""Scores from the answers that a table keeps, and their bootstrap intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from mettle.tables import ANSWERS
from mettle.tasks import scores
from mettle.tasks.scores import SCORES, accuracy

ATTACKED = pd.DataFrame({"label": [0, 1, 2, 3], "clean_prediction": [0, 1, 2, 0], "prediction": [0, 0, 0, 0]})
ANSWERED = pd.DataFrame({"label": [0, 0, 0, 1], "prediction": [0, 0, 1, 0]})


@pytest.mark.parametrize(("clean", "right"), [(True, 3), (False, 1)])
def test_accuracy_is_the_share_of_right_answers_with_its_wilson_interval(clean, right):
    found = accuracy(ATTACKED, clean=clean)
    interval = binomtest(right, 4).proportion_ci(0.95, method="wilson")
    assert found == {"n": 4, "value": right / 4, "lo": interval.low, "hi": interval.high, "note": None}
    score = scores.main("classification")
    assert score.value(scores.clean(ATTACKED) if clean else ATTACKED) == right / 4


def test_scores_are_declared_by_the_tasks_that_have_answers():
    assert set(SCORES) == set(ANSWERS)
    for task, found in SCORES.items():
        assert scores.main(task) is next(iter(found.values()))
        assert {name: score.measure for name, score in found.items()} == {name: name for name in found}


@pytest.mark.parametrize(("measure", "value"), [("accuracy", 2 / 4), ("mean_class_accuracy", (2 / 3 + 0) / 2)])
def test_the_value_counts_each_image_once(measure, value):
    assert SCORES["classification"][measure].value(ANSWERED) == pytest.approx(value)


@pytest.mark.parametrize("measure", SCORES["classification"])
def test_weights_are_as_good_as_copies_of_images(measure):
    weights = np.array([[2, 0, 1, 1], [0, 3, 0, 1], [4, 0, 0, 0]], dtype=float)
    score = SCORES["classification"][measure]
    copies = [score.value(ANSWERED.loc[np.repeat(np.arange(4), row.astype(int))]) for row in weights]
    np.testing.assert_allclose(score.of(ANSWERED, weights), copies)


def test_samples_begin_with_all_images_and_repeat_with_their_seed():
    found = scores.samples(20, 50, np.random.default_rng(3))
    assert found.shape == (51, 20) and (found[0] == 1).all() and (found.sum(1) == 20).all()
    assert (found == scores.samples(20, 50, np.random.default_rng(3))).all()
    assert found[1:].var() == pytest.approx(1 - 1 / 20, abs=0.1)


def test_the_interval_covers_the_middle_of_the_samples():
    values = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert scores.result(values, 9, "none") == {
        "n": 9,
        "value": 0.5,
        "lo": pytest.approx(0.025),
        "hi": pytest.approx(0.975),
        "note": None,
    }
    undefined = scores.result(np.array([np.nan, 1.0]), 9, "no object is large")
    assert undefined == {"n": 9, "value": None, "lo": None, "hi": None, "note": "no object is large"}
