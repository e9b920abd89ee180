"""Numbers of every rule are those that are recorded; `make stays` rests on it."""

import pytest

import golden_rules
from told import RULES

# What computes no numbers: files of others fetched, taken over or missing, what is handed on, drawings and cards.
WITHOUT = {
    "given",
    "download",
    "browse",
    "dinov2_arrays",
    "mmseg_folders",
    "publish",
    "publish_perturbed",
    "submission",
    "hub",
    "figure",
    "card",
    "pair_listed",
    "take_inverted",
}


@pytest.fixture(scope="module")
def computed():
    return {(rule, quantity): value for rule, quantity, value, _ in golden_rules.computed()}


@pytest.mark.parametrize(("rule", "quantity", "value", "tolerance"), golden_rules.recorded())
def test_a_number_is_the_one_recorded(computed, rule, quantity, value, tolerance):
    assert computed[rule, quantity] == pytest.approx(value, rel=tolerance, abs=1e-6)


def test_every_number_is_recorded(computed):
    assert list(computed) == [row[:2] for row in golden_rules.recorded()]


def test_every_rule_that_computes_has_some():
    assert {row[0] for row in golden_rules.recorded()} == set(RULES) - WITHOUT
