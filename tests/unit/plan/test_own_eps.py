"""Attacks in the ball of a model's own training attack, and the table that is made of them."""

import pytest

import shipped
from imports import ROOT
from mettle import schema
from mettle.plan import attacks, check_targets
from workplace import MODELS, Workplace

OWN = {"method": "pgd", "norm": "own", "eps": "own", "steps": 3, "relative_step": 2, "random_start": False}
ENTRIES = {"three": OWN, "twenty": {"method": "pgd", "norm": "own", "eps": "own", "steps": 20}}
TABLE = {"evaluations": [{"datasets": ["ten"], "attacks": ["three", "twenty"]}], "eps": [0, 0.5, 3]}


@pytest.fixture
def place(tmp_path):
    place = Workplace(tmp_path)
    place.robust("weak", "l2", 0.5)
    place.robust("strong", "l2", 3)
    place.robust("box", "linf", "8/255")
    robust = [("weak", "l2", 0.5), ("strong", "l2", 3), ("box", "linf", "8/255")]
    place.models([*MODELS, *(("ten", "vgg5", recipe, 0, norm, eps) for recipe, norm, eps in robust)])
    return place


def plan(place, table=TABLE, **entries):
    return place.plan(attack={"attacks": ENTRIES | entries}, figures={"universality_accuracy": table} if table else {})


@pytest.mark.parametrize(
    ("recipe", "norm", "eps"), [("weak", "l2", 0.5), ("strong", "l2", 3.0), ("box", "linf", 8 / 255)]
)
def test_a_robust_model_is_attacked_in_the_ball_of_its_training(place, recipe, norm, eps):
    found = plan(place)
    three, twenty = (found.attack({"attack": name, "model": f"vgg5-{recipe}-s0"}) for name in ENTRIES)
    assert (three["norm"], three["eps"], three["steps"], three["random_start"]) == (norm, eps, 3, False)
    assert three["step_size"] == pytest.approx(2 * eps / 3) and "relative_step" not in three
    assert (twenty["norm"], twenty["eps"], twenty["step_size"], twenty["random_start"]) == (norm, eps, None, True)
    assert schema.check(three, "attacks/pgd", "here") == three | {"through": "self"}, (
        "the job is told an attack like any other"
    )
    assert found.ball({"attack": "three", "model": f"vgg5-{recipe}-s0"}) == {"norm": norm, "eps": eps}


@pytest.mark.parametrize("entry", [OWN, {"method": "autoattack", "norm": "own", "eps": "own", "images": 7}])
def test_a_standard_model_is_left_with_its_clean_answers(place, entry):
    found = plan(place, None, any=entry).attack({"attack": "any", "model": "vgg5-plain-s0"})
    assert (found["method"], found["eps"], found["steps"]) == ("pgd", 0, 0)
    assert found["images"] == entry.get("images")


def test_other_attacks_are_what_they_were(place):
    fixed = {"method": "pgd", "norm": "l2", "eps": 1, "steps": 5}
    found = plan(place, None, fixed=fixed, half=fixed | {"relative_step": 0.5})
    given = schema.check(fixed, "attacks/pgd", "here")
    del given["through"]  # an input of the job
    for model in found.models:
        assert found.attack({"attack": "fixed", "model": model}) == given
        assert found.attack({"attack": "half", "model": model}) == given | {"step_size": 0.1}


def test_any_option_can_be_a_grid(place):
    found = plan(place, None, grid={key: OWN[key] for key in ("method", "norm", "eps")} | {"grid": {"steps": [1, 5]}})
    assert found.attack_grid("grid") == ["grid_steps1", "grid_steps5"]
    assert found.attack({"attack": "grid_steps5", "model": "vgg5-box-s0"})["eps"] == 8 / 255


def test_the_table_has_two_cells_of_a_robust_model_and_one_of_a_standard_one(place):
    found = plan(place)
    where = "results/attack/ten"
    standard = [f"{where}/{arch}-plain-{seed}/three.parquet" for arch, seed in (("resnet8", "s0"), ("vgg5", "s0"))]
    standard.append(f"{where}/vgg5-plain-s1/three.parquet")
    robust = [f"{where}/vgg5-{recipe}-s0/{name}.parquet" for recipe in ("weak", "strong") for name in ENTRIES]
    assert found.cells("universality_accuracy") == standard + robust
    assert found.beside("universality_accuracy") == ["resources/published/universality.tsv"]
    assert found.targets() == ["results/tables/universality_accuracy.parquet"]
    check_targets(found, [*found.targets(), *found.cells("universality_accuracy")])


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"threat": "linf", "eps": ["8/255"]}, ["vgg5-box-s0"] * 2),
        ({"models": ["vgg5-weak-s0", "vgg5-plain-s1"]}, ["vgg5-weak-s0"] * 2 + ["vgg5-plain-s1"]),
        ({"eps": [3]}, ["vgg5-strong-s0"] * 2),
    ],
)
def test_eps_threat_and_models_choose(place, change, last):
    assert [path.split("/")[3] for path in plan(place, TABLE | change).cells("universality_accuracy")] == last


@pytest.mark.parametrize(
    ("change", "entries", "message"),
    [
        ({}, {"three": OWN | {"norm": "l2"}}, r"attack\.attacks\.three: norm and eps must be `own` together"),
        ({}, {"three": OWN | {"eps": 1}}, r"attack\.attacks\.three: norm and eps must be `own` together"),
        (
            {},
            {"three": OWN | {"step_size": 1}},
            r"attacks\.three: step_size and relative_step both .*: leave one out$",
        ),
        ({}, {"three": OWN | {"eps": "mine"}}, r"attacks\.three: 'eps' must be a number or own, got 'mine'$"),
        ({}, {"three": OWN | {"method": "apgd"}}, r"attack\.attacks\.three: unknown key 'relative_step'"),
        (
            {},
            {"three": {"method": "pgd", "norm": "l2", "eps": 1, "steps": 1}},
            r"evaluations\.0\.attacks: 'three' has an eps: name an attack with `norm: own, eps: own`$",
        ),
        ({"eps": [2]}, {}, r"evaluations\.0: no model of 'ten' has one of the eps in l2$"),
        ({"models": ["vgg5-wek-s0"]}, {}, r"models: unknown model 'vgg5-wek-s0': did you mean 'vgg5-weak-s0'\?$"),
        (
            {"threat": "linf"},
            {},
            r"'figures\.universality_accuracy\.eps\.2' must be at most 1, got 3: did you mean",
        ),
        (
            {"evaluations": [{"datasets": ["tne"], "attacks": ["three"]}]},
            {},
            r"evaluations\.0\.datasets: unknown data set 'tne'",
        ),
    ],
)
def test_what_is_wrong(place, change, entries, message):
    with pytest.raises(ValueError, match=r"^configuration: .*" + message):
        plan(place, TABLE | change, **entries)


def test_a_figure_over_eps_wants_one_of_its_own(place):
    figures = {"fig9": {"dataset": "ten", "models": ["vgg5-weak-s0"], "attack": "three"}}
    with pytest.raises(ValueError, match=r"fig9\.attack: 'three' has one eps per model, but the figure's axis is eps$"):
        place.plan(attack={"attacks": ENTRIES}, figures=figures)


def test_published_checkpoints_can_be_attacked_in_their_own_ball(place):
    sheet = place.folder / "published.tsv"
    head = "model\tnorm\teps\timages\tclean\tautoattack\tsource\n"
    sheet.write_text(head + "vgg5-weak-s0\tl2\t0.5\tten\t0.9\t0.5\tx\nvgg5-strong-s0\t\t\tten\t0.9\t\tx\n")
    figures = {"published": {"numbers": str(sheet), "attack": "twenty"}}
    found = place.plan(attack={"attacks": ENTRIES}, figures=figures)
    assert found.cells("published") == ["results/attack/ten/vgg5-weak-s0/twenty.parquet"]
    sheet.write_text(head + "vgg5-weak-s0\t\t\tten\t0.9\t0.5\tx\n")
    with pytest.raises(ValueError, match=r"row 'vgg5-weak-s0': an accuracy under AutoAttack needs norm and eps$"):
        place.plan(attack={"attacks": ENTRIES}, figures=figures)


# At paper scale


@pytest.fixture(scope="module")
def paper():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return shipped.plan("paper")


def test_all_102_models_of_the_study_are_evaluated(paper):
    cells = [path.split("/")[2:] for path in paper.cells("universality_accuracy")]
    models = {model: dataset for dataset, model, _ in cells}
    counts = {name: list(models.values()).count(name) for name in set(models.values())}
    assert counts == {"imagenet": 34, "imagenet100_kaggle": 20, "imagenet50": 20, "cifar10": 28}
    standard = [model for model in models if not paper.models[model]["eps"]]
    assert len(cells) == len(standard) + 2 * (102 - len(standard)) and len(standard) == 23


def test_three_steps_are_those_of_training(paper):
    """The study evaluates by the attack that it trains with: PGD-3, the step of the recipe, no random start."""
    for path in paper.cells("universality_accuracy"):
        _, _, _, model, name = path.removesuffix(".parquet").split("/")
        if name.startswith("pgd3_own") and paper.models[model]["eps"]:
            told = paper.attack({"attack": name, "model": model})
            trained = paper.recipes.get(paper.models[model]["recipe"], trains=False)["attack"]
            assert [told[key] for key in ("norm", "eps", "steps")] == [trained[key] for key in ("norm", "eps", "steps")]
            assert told["step_size"] == pytest.approx(trained["step_size"], rel=1e-6), model
            assert told["random_start"] == trained["random_start"] is False


def test_published_numbers_are_of_models_in_the_sheet(paper):
    rows = paper.published_numbers("resources/published/universality.tsv")
    evaluated = {tuple(path.split("/")[2:4]) for path in paper.cells("universality_accuracy")}
    assert len(rows) == 26 and {(row["images"], row["model"]) for row in rows} <= evaluated
    by_model = {row["model"]: row["clean"] for row in rows}
    for name in by_model:  # accuracy falls with eps, and public models of eps 0 are the standard ones
        arch = name.partition("-")[0]
        assert by_model[name] <= by_model[f"{arch}-imagenet_eps0-s0"]
        assert paper.models[name]["source"].startswith("hf://madrylab/robust-imagenet-models/")


def test_own_is_resolved_by_the_row_alone():
    options = schema.check(OWN, "attacks/pgd", "here")
    row = {"threat": "linf", "eps": 0.1}
    assert attacks.is_own(options) and not attacks.is_own(attacks.resolved(options, row))
    assert options == schema.check(OWN, "attacks/pgd", "here"), "what is configured stays as it was"
