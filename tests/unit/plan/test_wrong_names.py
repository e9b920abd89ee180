"""What is wrong with the names in a path: the first fault counts, and every wildcard of the grammar has a check."""

import re

import pytest

from mettle.plan import faults, targets
from workplace import Workplace


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("place"))
    place.models([("ten", "vgg5", "plain", 0)])
    return place.plan(corrupt={"corruptions": {"some": {}}})


def test_every_wildcard_has_a_check_and_every_check_a_wildcard():
    assert {name for path in targets.PATHS for name in re.findall(r"\{(\w+)\}", path)} == faults._CHECKS.keys()


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ({"": "probe", "dataset": "ten", "model": "vgg5-plain-s0"}, None),
        ({"dataset": "tne", "model": "vgg"}, "unknown data set 'tne': did you mean 'ten'?"),
        ({"dataset": "ten", "model": "vgg5-plain-s1"}, "unknown model 'vgg5-plain-s1': did you mean 'vgg5-plain-s0'?"),
        ({"named": "some", "condition": "fgo-3"}, "unknown corruption 'fgo': did you mean 'fog'?"),
        ({"named": "some", "condition": "fog-6"}, "unknown severity '6'; known: 1, 2, 3, 4, 5"),
        ({"named": "some", "condition": "fog-3"}, None),
        (
            {"named": "any"},
            "unknown set of corruptions 'any': sets of corruptions are the entries of corrupt.corruptions",
        ),
        ({"kind": "clean"}, "unknown kind 'clean'; known: adversarial, perturbation"),
    ],
)
def test_the_first_wrong_name_is_told(plan, named, text):
    assert faults.first_fault(plan, named) == text
