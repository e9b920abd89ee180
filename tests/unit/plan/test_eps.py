"""Radii: at most 1 in Linf wherever one is stated, and written as a person would."""

import pytest

from mettle import schema
from workplace import ATTACK, MODELS, Workplace

ROBUST = [("ten", arch, "robust", 0, "linf", 8 / 255) for arch in ("vgg5", "resnet8")]
AUTOATTACK = {"method": "autoattack", "norm": "linf"}
PAIRS = {"datasets": ["ten"], "eps": [0]}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def objects(rules):
    """A schema and everything under it that describes an object."""
    if "properties" in rules:
        yield rules
    for sub in (*rules.get("$defs", {}).values(), *rules.get("properties", {}).values()):
        yield from objects(sub)


def with_a_ball():
    """Properties of every object of every schema that states a norm and a radius."""
    for file in sorted(schema.FOLDER.glob("*.schema.yaml")):
        for rules in objects(schema.load(file.name.removesuffix(".schema.yaml"))):
            norm = next((key for key in ("norm", "threat") if key in rules["properties"]), None)
            if norm and "eps" in rules["properties"]:
                yield rules, norm


def test_every_schema_with_a_norm_bounds_its_radius():
    found = list(with_a_ball())
    assert len(found) >= 18
    for rules, norm in found:
        bounds = [rules, *rules.get("allOf", [])]
        (then,) = [part["then"] for part in bounds if _is_linf(part.get("if", {}).get("properties", {}).get(norm, {}))]
        eps = then["properties"]["eps"]
        assert eps.get("items", eps)["maximum"] == 1
        assert "step_size" not in rules["properties"] or "step_size" in then["properties"]


def _is_linf(told):
    return "linf" in (told.get("const"), *told.get("enum", ()))


def attack(**options):
    return {"attack": {"attacks": {"weak": ATTACK | options}}, "figures": {}}


@pytest.mark.parametrize(
    ("blocks", "key"),
    [
        (attack(eps=8), "attack.attacks.weak: 'eps'"),
        (attack(step_size=8), "attack.attacks.weak: 'step_size'"),
        ({"attack": {"attacks": {"all": AUTOATTACK | {"eps": 8}}}, "figures": {}}, "attack.attacks.all: 'eps'"),
        (attack(grid={"eps": [8]}, eps=0), "attack.attacks.weak_eps8: 'eps'"),
        ({"attack": {"effectiveness": {"eps": 8}}}, "'attack.effectiveness.eps'"),
        ({"attack": {"convergence": {"eps": 8}}}, "'attack.convergence.eps'"),
        ({"figures": {"fig4": PAIRS | {"eps": [0, 8], "threat": "linf"}}}, "'figures.fig4.eps.1'"),
    ],
)
def test_an_eps_of_8_is_meant_as_8_of_255(place, blocks, key):
    with pytest.raises(ValueError, match=r"^configuration: ") as caught:
        place.plan(**blocks)
    assert str(caught.value).endswith(f"{key} must be at most 1, got 8: did you mean 8/255?")


def test_an_eps_of_8_in_a_recipe_and_in_sheets(place):
    place.robust("robust", "linf", 8)
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "linf", 8)])
    with pytest.raises(
        ValueError, match=r"row 'vgg5-robust-s0': 'eps' must be at most 1, got 8\.0: did you mean 8/255"
    ):
        place.plan()
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "linf", 1)])
    with pytest.raises(
        ValueError, match=r"robust\.yaml: 'attack\.eps' must be at most 1, got 8: did you mean 8/255\?$"
    ):
        place.plan()
    sheet = place.folder / "published.tsv"
    sheet.write_text("model\tnorm\teps\timages\tclean\tautoattack\tsource\na\tlinf\t4\tten\t0.5\t0.5\tb\n")
    with pytest.raises(ValueError, match=r"row 'a': 'eps' must be at most 1, got 4\.0: did you mean 4/255\?$"):
        schema.read_sheet(sheet, "published")


def test_in_l2_an_eps_of_8_is_one(place):
    place.robust("robust", "l2", 8)
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "l2", 8)])
    assert place.plan(**attack(norm="l2", eps=8)).models["vgg5-robust-s0"]["eps"] == 8


# Of a row and its recipe


def test_a_row_may_state_eps_in_six_digits(place):
    place.robust("robust", "linf", "8/255")
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "linf", 0.0313725), ROBUST[1]])
    found = place.plan()
    assert found.models["vgg5-robust-s0"]["eps"] == 8 / 255
    assert found.above("resnet8-robust-s0") == ["vgg5-robust-s0"]


def test_a_row_that_agrees_keeps_its_number(place):
    place.robust("robust", "l2", 1)
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "l2", "1")])
    assert repr(place.plan().models["vgg5-robust-s0"]["eps"]) == "1.0"  # or jobs would run again


@pytest.mark.parametrize(
    ("threat", "eps", "message"),
    [
        ("linf", "0.031", r"are linf 0\.031, but recipe 'robust' trains with linf 8/255$"),
        ("linf", "4/255", r"are linf 4/255, but recipe 'robust' trains with linf 8/255$"),
        ("l2", "8/255", r"are l2 8/255, but recipe 'robust' trains with linf 8/255$"),
    ],
)
def test_a_row_that_differs_says_how(place, threat, eps, message):
    place.robust("robust", "linf", "8/255")
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, threat, eps)])
    with pytest.raises(ValueError, match=r"row 'vgg5-robust-s0': threat and eps " + message):
        place.plan()


# Of a figure


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"eps": [0, 8 / 255]},
            r"fig4\.eps: l2 8/255 needs two models of 'ten' or more; there are models of linf 8/255$",
        ),
        (
            {"eps": [0, 0.0313725], "threat": "linf"},
            r"fig4\.eps: linf 0\.0313725 needs two models of 'ten' or more; there are models of linf 8/255$",
        ),
        ({"eps": [0, 0.5], "threat": "linf"}, r"fig4\.eps: linf 0\.5 needs two models of 'ten' or more$"),
        ({"datasets": ["two"], "eps": [0]}, r"fig4\.eps: none 0 needs two models of 'two' or more$"),
    ],
)
def test_an_eps_without_pairs_says_what_there_is(place, changes, message):
    place.robust("robust", "linf", "8/255")
    place.models([*MODELS, *ROBUST])
    with pytest.raises(ValueError, match=r"^configuration: figures\." + message):
        place.plan(figures={"fig4": PAIRS | changes})
