"""Models that classify perturbations, and that no stage reads the options of a figure."""

import re
from types import SimpleNamespace

import pytest

from imports import ROOT
from mettle.plan import check_targets
from workplace import ATTACK, Workplace

JUDGES = ["vgg5-plain-s0", "resnet8-plain-s0"]
DRIFT = {"attacks": {"weak": {"norm": "linf", "eps": "8/255", "steps": 2}}}
FIG11 = {"dataset": "ten", "models": ["vgg5-plain-s1"], "attack": "weak"}


def blocks(judges=(), **figures):
    attack = {"attacks": {"weak": ATTACK}, "perturbations": {"judges": list(judges)}}
    return {"attack": attack, "corrupt": {"corruptions": {"some": {}}}, "drift": DRIFT, "figures": figures}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def test_judges_are_those_of_the_data_set(place):
    place.models([("ten", "vgg5", "plain", 0), ("ten", "resnet8", "plain", 0), ("two", "vgg5", "plain", 1)])
    found = place.plan(**blocks([*JUDGES, "vgg5-plain-s1"]))
    assert found.judges({"dataset": "ten"}) == JUDGES
    assert found.weights_of_judges({"dataset": "two"}) == ["results/train/vgg5-plain-s1/weights.safetensors"]


def test_cells_of_figure_11(place):
    found = place.plan(**blocks(JUDGES, fig11=FIG11))
    assert found.cells("fig11") == ["results/semantics/ten/vgg5-plain-s1/weak.parquet"]
    assert found.beside("fig11") == ["results/perturb/perturbation/ten/vgg5-plain-s1/weak.lmdb"]


@pytest.mark.parametrize(
    ("judges", "figures", "message"),
    [
        (["gone"], {"fig11": FIG11}, r"attack\.perturbations\.judges: unknown model 'gone'; known: "),
        (
            [],
            {"fig11": FIG11},
            r"attack\.perturbations\.judges names no model of 'ten': list those that are to classify",
        ),
        (
            JUDGES,
            {"fig11": FIG11 | {"judges": JUDGES}},
            r"'figures\.fig11\.judges' is now 'attack\.perturbations\.judges'",
        ),
    ],
)
def test_what_is_wrong_with_judges(place, judges, figures, message):
    with pytest.raises(ValueError, match=r"^configuration: " + message):
        place.plan(**blocks(judges, **figures))


ATTACKED, JUDGE = "vgg5-plain-s1", "vgg5-plain-s0"
REMEDY = ": list another judge, or attack another$"


def test_no_model_judges_perturbations_against_itself(place):
    message = f"'{ATTACKED}' is to judge perturbations made against itself" + REMEDY
    with pytest.raises(ValueError, match=r"^configuration: attack\.perturbations\.judges: " + message):
        place.plan(**blocks([*JUDGES, ATTACKED], fig11=FIG11))
    found = place.plan(**blocks([*JUDGES, ATTACKED]))
    target = f"results/semantics/ten/{ATTACKED}/weak.parquet"
    with pytest.raises(ValueError, match=f"^target '{target}': configuration: .*: {message}"):
        check_targets(found, [target])
    check_targets(found, [target.replace("semantics", "perturb/perturbation")])
    found = place.plan(**blocks(["resnet8-plain-s0", ATTACKED]))
    assert len(found.judges({"dataset": "ten", "model": "vgg5-plain-s0"})) == 2, "other models may be judged by it"


@pytest.mark.parametrize(
    ("columns", "shared"),
    [
        ({"source": {JUDGE: "w.pt", ATTACKED: "w.pt"}}, "the weights of w.pt"),
        (
            {"source": {JUDGE: "v.pt", ATTACKED: "w.pt"}, "sha256": {JUDGE: "a" * 64, ATTACKED: "a" * 64}},
            "the weights of w.pt",
        ),
        ({"source": {JUDGE: "all.zip#a.pt", ATTACKED: "all.zip#b.pt"}}, None),
        ({"base": {JUDGE: ATTACKED}}, f"the weights of the training '{ATTACKED}'"),
        ({"base": {ATTACKED: JUDGE}}, f"the weights of the training '{JUDGE}'"),
        ({"base": {ATTACKED: "resnet8-plain-s0", "resnet8-plain-s0": JUDGE}}, f"the weights of the training '{JUDGE}'"),
        (
            {"source": {"resnet8-plain-s0": "w.pt"}, "base": dict.fromkeys((JUDGE, ATTACKED), "resnet8-plain-s0")},
            "the weights of w.pt",
        ),
        ({}, None),
    ],
    ids=["file", "SHA-256", "other file of an archive", "its base", "base", "base of its base", "one base", "seeds"],
)
def test_no_model_judges_perturbations_against_its_own_weights_under_another_name(place, columns, shared):
    place.models([("ten", "resnet8", "plain", 0), ("ten", "vgg5", "plain", 0), ("ten", "vgg5", "plain", 1)], **columns)
    found = place.plan(**blocks([JUDGE]))
    if shared is None:
        assert found.judges({"dataset": "ten", "model": ATTACKED}) == [JUDGE]
        return
    said = (
        f"'{JUDGE}' is to judge perturbations made against '{ATTACKED}', but both have, or start from, {shared}"
        + REMEDY
    )
    with pytest.raises(ValueError, match=said):
        found.judges({"dataset": "ten", "model": ATTACKED})


def test_no_model_judges_perturbations_against_the_same_training_by_another_recipe_of_the_same_content(place):
    place.recipe("again", {"extends": "plain"})
    place.recipe("longer", {"extends": "plain", "epochs": 2})
    place.models([("ten", "vgg5", recipe, 0) for recipe in ("plain", "again", "longer")])
    found = place.plan(**blocks(["vgg5-plain-s0"]))
    with pytest.raises(ValueError, match=r"both have, or start from, the weights of the training 'vgg5-again-s0'"):
        found.judges({"dataset": "ten", "model": "vgg5-again-s0"})
    assert found.judges({"dataset": "ten", "model": "vgg5-longer-s0"})


# Rules


# Those of figures, and those whose wildcards are files that are missing.
OTHERS = {"plot.smk", "tabulate.smk", "download.smk", "given.smk"}
WILDCARDS = {
    "dataset": "ten",
    "set": "group",
    "split": "test",
    "model": "vgg5-plain-s1",
    "attack": "weak",
    "measure": "near",
    "images": "natural",
    "kind": "perturbation",
    "corruptions": "some",
    "drift": "weak",
    "model_b": "vgg5-plain-s0",
    "corruption": "fog",
    "severity": "3",
    "file": "",
}


# No functions of wildcards, and those of rules that only published images have, or measures on a GPU.
SKIPPED = {"config", "pattern", "each_above", "lists", "pair_lists", "inverted_source", "inverted_row"}
SKIPPED |= {"represented_for_gpu", "tokens_row", "tokens_recipe", "shared_attack", "attack_to_share"}
SKIPPED |= {"published_tokens_row", "published_tokens_recipe", "head_row", "head_recipe"}
SKIPPED |= {"published_head_row", "published_head_recipe", "submitted_cells", "submission", "handed_on"}


def asked(file):
    """What the rules of a file ask the plan, by the name of a method or attribute."""
    return set(re.findall(r"PLAN\.(\w+)", file.read_text(encoding="utf-8"))) - SKIPPED


RULES = [path for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")) if path.name not in OTHERS]


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_a_stage_needs_no_figure(place, file):
    found = place.plan(**blocks(JUDGES))
    for name in asked(file):
        value = getattr(found, name)
        if callable(value):
            value(SimpleNamespace(**WILDCARDS))
    assert "figures" not in file.read_text(encoding="utf-8")


def test_the_rules_ask_the_plan():
    assert {"judges", "attack", "test_store", "represented"} <= set().union(*map(asked, RULES))
