"""L1, smallest changes and the figure of curves in a plan: what is asked for, and what is refused with a sentence."""

import pytest

from workplace import MODELS, Workplace

WHOLE = {"method": "autoattack", "norm": "l1", "eps": 12}
PART = WHOLE | {"attacks": ["apgd_ce", "square"]}
NEAR = {"method": "fmn", "norm": "linf", "eps": "16/255"}
CURVES = {"dataset": "ten", "models": ["vgg5-plain-s0"], "attack": "near"}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def plan(place, figures=None, **attacks):
    return place.plan(attack={"attacks": attacks}, figures=figures or {})


def test_a_part_of_autoattack_in_l1_is_not_called_so(place):
    assert plan(place, whole=WHOLE).attacks["whole"]["attacks"] == ["apgd_ce", "apgd_t", "fab_t", "square"]
    with pytest.raises(
        ValueError,
        match=r"^configuration: attack\.attacks\.part: attacks: \[apgd_ce, square\] is not AutoAttack in L1, which is "
        r"\[apgd_ce, apgd_t, fab_t, square\]: leave `attacks` out, or take method apgd, fab or square$",
    ):
        assert plan(place, part=PART).attacks
    assert plan(place, part=PART | {"norm": "l2"}).attacks["part"]["attacks"] == ["apgd_ce", "square"]


def test_nor_where_the_ball_is_the_models_own(place):
    place.robust("sparse", "l1", 8.0)
    place.models([*MODELS, ("ten", "vgg5", "sparse", 0, "l1", 8.0)])
    own = {"norm": "own", "eps": "own"}
    found = plan(place, whole=WHOLE | own, part=PART | own)
    cell = {"model": "vgg5-sparse-s0", "attack": "whole"}
    assert {key: found.attack(cell)[key] for key in ("norm", "eps")} == {"norm": "l1", "eps": 8.0}
    with pytest.raises(
        ValueError, match=r"^configuration: attack\.attacks\.part of 'vgg5-sparse-s0': attacks: .* in L1"
    ):
        found.attack(cell | {"attack": "part"})


def test_too_few_classes_for_it_name_another_method(place):
    place.models([*MODELS, ("two", "vgg5", "plain", 2)])
    figures = {"accuracy": {"evaluations": [{"datasets": ["two"], "attacks": ["whole"]}]}}
    with pytest.raises(ValueError, match=r"needs 4 classes .* has 2: name an attack of method apgd, fab or square$"):
        plan(place, figures, whole=WHOLE)


def test_curves_ask_for_one_run_and_the_points(place):
    grid = {"method": "autoattack", "norm": "linf", "grid": {"eps": ["4/255", "8/255"]}}
    found = plan(place, {"curves": CURVES | {"attacks": ["some"]}}, near=NEAR, some=grid)
    names = ["near", "some_eps4_255", "some_eps8_255"]
    assert found.cells("curves") == [f"results/attack/ten/vgg5-plain-s0/{name}.parquet" for name in names]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"attack": "weak"}, r"attack: 'weak' is of method pgd, which finds no smallest change: name an attack of "),
        ({"attacks": ["round"]}, r"attacks: 'round' is in l2, the curve of 'near' in linf: name attacks in that norm$"),
        ({"attack": "nera"}, r"attack: unknown attack 'nera': did you mean 'near'\?$"),
        ({"models": ["vgg"]}, r"models: .*'vgg'"),
    ],
)
def test_what_curves_cannot_show_is_said(place, more, message):
    weak = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2}
    with pytest.raises(ValueError, match=r"^configuration: figures\.curves\." + message):
        plan(place, {"curves": CURVES | more}, near=NEAR, weak=weak, round=weak | {"norm": "l2", "eps": 1})
