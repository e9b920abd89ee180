"""Scales: what figures need to know of a measure."""

import math

import pytest

from mettle.scales import SCALES

every = pytest.mark.parametrize("name", SCALES)


@every
def test_a_model_is_most_like_itself(name):
    scale = SCALES[name]
    assert scale.label
    assert scale.self_value == scale.range[1 if scale.higher_is_alike else 0]


@every
def test_the_formula_is_what_the_display_computes(name):
    scale = SCALES[name]
    words = scale.formula.replace("−", "-").replace("π", "math.pi").replace("ln 2", "math.log(2)")
    for value in (0.1, 0.5, 0.693):
        assert eval(words.format(value), {"math": math}) == pytest.approx(scale.display(value), abs=1e-15)
    same = all(scale.display(value) == value for value in (0.1, 0.5))
    assert (scale.title("x") == scale.label) == same == scale.higher_is_alike


def test_the_title_names_the_value_of_the_table():
    assert SCALES["cka"].title("cka") == "CKA"
    assert SCALES["procrustes"].title("p_2") == "Procrustes similarity = 1 - p_2 / 2"
