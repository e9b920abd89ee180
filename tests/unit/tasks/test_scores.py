"""Scores from the answers that a table keeps."""

import pandas as pd
import pytest
from scipy.stats import binomtest

from mettle.tasks.scores import ACCURACY, accuracy

ANSWERS = pd.DataFrame({"label": [0, 1, 2, 3], "clean_prediction": [0, 1, 2, 0], "prediction": [0, 0, 0, 0]})


@pytest.mark.parametrize(("clean", "right"), [(True, 3), (False, 1)])
def test_accuracy_is_the_share_of_right_answers_with_its_wilson_interval(clean, right):
    found = accuracy(ANSWERS, clean=clean)
    interval = binomtest(right, 4).proportion_ci(0.95, method="wilson")
    assert found == {"n": 4, "value": right / 4, "lo": interval.low, "hi": interval.high, "note": None}
    assert (ACCURACY.measure, ACCURACY.of) == ("accuracy", accuracy)
