"""Functional measures: numbers by hand, bounds, and what must hold of any answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from mettle.measures import functional
from mettle.measures.functional import FUNCTIONAL, Answers, compare


def answers(label, prediction, logits=None):
    label, prediction = np.asarray(label), np.asarray(prediction)
    logits = np.eye(4)[prediction] if logits is None else logits
    return Answers(label, prediction, logits)


def golden():
    """The worked example of the study: errors 0.2 and 0.35, and soft-max rows of sines and cosines."""
    i, j = np.arange(40)[:, None], np.arange(7)
    a = np.sin(1 + 0.37 * i * (j[:5] + 1))
    b = np.cos(0.5 + 0.23 * i * (j + 2)) + 0.5 * np.sin(1 + 0.37 * i)
    y = np.arange(40) % 4
    p, q = np.where(np.arange(40) % 5 == 0, (y + 1) % 4, y), np.where(np.arange(40) % 3 == 0, (y + 2) % 4, y)
    return answers(y, p, a[:, :4]), answers(y, q, b[:, :4])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("disagreement", 0.475),
        ("normalised_disagreement", 0.8125),
        ("kappa", 0.3666667),
        ("jsd", 0.06808668395),
        ("churn", 0.67685399800),
    ],
)
def test_golden_values(name, value):
    assert compare(name, *golden()) == pytest.approx(value, abs=1e-7)


def test_displays_are_those_of_the_figures():
    a, b = golden()
    assert FUNCTIONAL["jsd"].scale.display(compare("jsd", a, b)) == pytest.approx(0.90177167871, abs=1e-9)
    assert FUNCTIONAL["disagreement"].scale.display(0.475) == pytest.approx(0.525)


def test_jsd_is_scipys_squared_distance():
    a, b = golden()
    p, q = softmax(a.logits, axis=1), softmax(b.logits, axis=1)
    assert compare("jsd", a, b) == pytest.approx(np.mean(jensenshannon(p, q, axis=1) ** 2), abs=1e-12)


def test_certain_and_opposite_answers_have_the_largest_divergence_and_no_nan():
    a, b = answers([0, 0], [0, 0], 1e4 * np.eye(4)[[0, 0]]), answers([0, 0], [1, 1], 1e4 * np.eye(4)[[1, 1]])
    assert compare("jsd", a, b) == pytest.approx(np.log(2))
    assert compare("churn", a, b) == pytest.approx(1)


@st.composite
def some(draw):
    n, c = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    label = rng.integers(c, size=n)
    logits = [draw(st.sampled_from([0.1, 1, 30])) * rng.normal(size=(n, c)) for _ in range(2)]
    return [Answers(label, x.argmax(1), x) for x in logits]


@settings(deadline=None)
@given(some())
def test_claims_hold(pair):
    a, b = pair
    for name, measure in FUNCTIONAL.items():
        value, back, own = compare(name, a, b), compare(name, b, a), compare(name, a, a)
        assert own is None or own == pytest.approx(measure.scale.self_value, abs=1e-12), name
        if value is None:
            assert back is None, name
            continue
        low, high = measure.scale.range
        assert low - 1e-12 <= value <= high + 1e-12 and back == pytest.approx(value, abs=1e-12), name
        if own is not None:
            assert measure.scale.display(own) >= measure.scale.display(value) - 1e-12, name


def test_more_images_than_a_block_are_the_mean_of_their_parts():
    rng = np.random.default_rng(0)
    label, x, y = rng.integers(4, size=2500), rng.normal(size=(2500, 4)), rng.normal(size=(2500, 4))
    whole = compare("jsd", answers(label, x.argmax(1), x), answers(label, y.argmax(1), y))
    p, q = softmax(x, axis=1), softmax(y, axis=1)
    assert whole == pytest.approx(np.mean(jensenshannon(p, q, axis=1) ** 2), abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "classes", "lower", "upper"),
    [(0.5312, 0.6967, 1000, 0.3702, 0.7623), (0.6979, 0.7791, 1000, 0.5438, 0.8957)],
)
def test_bounds_of_the_worked_examples(a, b, classes, lower, upper):
    assert functional.bounds(a, b, classes) == pytest.approx((upper, lower), abs=5e-5)
    assert functional.bounds(b, a, classes) == functional.bounds(a, b, classes)


def test_bounds_of_two_classes_and_of_chance():
    upper, lower = functional.bounds(1.0, 1.0, 2)
    assert (upper, lower) == (1.0, 1.0)
    assert functional.bounds(0.5, 0.5, 2) == pytest.approx((1.0, 0.5))
    assert functional.bounds(0.3, 0.05, 10)[0] == pytest.approx(0.1)  # worse than random answers throughout
    assert functional.bounds(0.1, 0.05, 10)[0] == 1
    independent = functional.bounds(0.25, 0.25, 4)[1]
    assert independent == pytest.approx(0.25)  # both at chance agree by chance


def test_independent_models_agree_as_the_lower_bound_says():
    rng = np.random.default_rng(0)
    label = rng.integers(10, size=200_000)

    def model(accuracy):
        wrong = (label + rng.integers(1, 10, size=label.size)) % 10
        return np.where(rng.random(label.size) < accuracy, label, wrong)

    assert np.mean(model(0.7) == model(0.8)) == pytest.approx(functional.bounds(0.7, 0.8, 10)[1], abs=0.005)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (answers([0], [0]), answers([0, 1], [0, 1]), "same images, got 1 and 2"),
        (answers([0], [0]), answers([0], [0], np.zeros((1, 3))), "same classes, got 4 and 3"),
    ],
)
def test_answers_that_do_not_pair_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        compare("jsd", a, b)


def test_an_unknown_measure_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown functional measure 'js'; known: disagreement, .*jsd"):
        compare("js", *golden())
