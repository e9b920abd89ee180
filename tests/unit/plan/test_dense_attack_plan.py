"""Attacks of models of dense tasks: which there are, and a sentence for the others before work starts."""

import re

import pytest
import yaml
from test_dense_plan import BASE, DATASETS, DENSE, HEAD, PLAIN, ROW

from imports import ROOT
from mettle.plan import Plan, targets
from mettle.plan.limits import check_attack
from mettle.plan.work import Work

BALL = {"norm": "linf", "eps": "2/255"}
ATTACKS = {
    "weak": BALL | {"method": "pgd", "steps": 3},
    "keen": BALL | {"method": "pgd", "steps": 3, "early_stop": False},
    "aimed": BALL | {"method": "pgd", "steps": 3, "target": "random"},
    "own": {"method": "pgd", "steps": 3, "norm": "own", "eps": "own"},
    "auto": BALL | {"method": "apgd"},
    "ratio": BALL | {"method": "apgd", "loss": "dlr"},
    "theirs": BALL | {"method": "apgd", "engine": "pyautoattack"},
    **{method: BALL | {"method": method} for method in ("fab", "square", "autoattack")},
}
TASKS = {"map": "segmentation", "box": "detection", "far": "depth"}
MAP = {"dataset": "lanes", "model": "map"}
KNOWN = r"attack it by method: pgd, target: none or method: apgd, loss: ce, engine: mettle$"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A classifier and a model of each dense task, that of depth by a stand-in until there are recipes for it."""
    folder = tmp_path_factory.mktemp("plan")
    (folder / "recipes").mkdir()
    for name, content in {"plain": PLAIN, "dense": DENSE, "found": DENSE | {"task": "detection"}}.items():
        (folder / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    rows = [BASE, ROW, ROW | {"model": "box", "recipe": "found"}, ROW | {"model": "far"}]
    lines = ["\t".join(one.get(column, "") for column in HEAD.split()) for one in rows]
    (folder / "models.tsv").write_text(HEAD + "\n".join(lines) + "\n")
    (folder / "datasets.tsv").write_text(
        DATASETS.replace("lanes\tclassification, segmentation", "lanes\tclassification, segmentation, detection")
    )
    given = {"models": folder / "models.tsv", "datasets": folder / "datasets.tsv", "recipes": folder / "recipes"}
    made = Plan({key: str(path) for key, path in given.items()} | {"attack": {"attacks": ATTACKS}, "figures": {}})
    before = made.task_of
    made.task_of = lambda model: "depth" if model == "far" else before(model)
    return made


@pytest.mark.parametrize("model", ["map", "far"])
@pytest.mark.parametrize("attack", ["weak", "auto"])
def test_what_raises_an_objective_attacks_maps(plan, model, attack):
    found = plan.attack({"attack": attack, "model": model, "dataset": "lanes"})
    assert found | {"through": "self"} == plan.attacks[attack] | {"early_stop": False}
    assert targets.unknown(plan, f"results/attack/lanes/{model}/{attack}.parquet") is None


def test_early_stop_is_nothing_that_a_cell_depends_on(plan):
    assert plan.attack(MAP | {"attack": "weak"}) == plan.attack(MAP | {"attack": "keen"})
    of_classes = {"dataset": "scenes", "model": "net"}
    assert plan.attack(of_classes | {"attack": "weak"})["early_stop"]


def test_without_a_ball_of_its_own_a_model_is_evaluated_on_clean_images(plan):
    assert plan.attack(MAP | {"attack": "own"})["eps"] == 0


@pytest.mark.parametrize("model", ["map", "far"])
@pytest.mark.parametrize(
    ("attack", "asks"),
    [
        ("aimed", "target: random"),
        ("ratio", "loss: dlr"),
        ("theirs", "engine: pyautoattack"),
        ("fab", "method fab"),
        ("square", "method square"),
        ("autoattack", "method autoattack"),
    ],
)
def test_what_needs_classes_is_refused_with_entry_and_model(plan, model, attack, asks):
    told = rf"attack\.attacks\.{attack}: {asks} needs a class per image, but .*models\.tsv, row '{model}' is of a model"
    with pytest.raises(ValueError, match=rf"^configuration: {told} of {TASKS[model]}: {KNOWN}"):
        plan.attack({"attack": attack, "model": model, "dataset": "lanes"})
    with pytest.raises(ValueError, match=told):
        targets.check_targets(plan, [f"results/attack/lanes/{model}/{attack}.parquet"])


def test_models_that_cannot_be_attacked_are_named(plan):
    told = r"row 'box': is a model of detection, but attacks are for models of classification, segmentation, depth$"
    with pytest.raises(ValueError, match=told):
        plan.attack({"attack": "weak", "model": "box", "dataset": "lanes"})
    with pytest.raises(ValueError, match=told):
        targets.check_targets(plan, ["results/attack/lanes/box/weak.parquet"])


@pytest.mark.parametrize("kind", ["adversarial", "perturbation"])
def test_attacked_images_are_kept_and_attacks_studied_of_classifiers_alone(plan, kind):
    told = r"row 'map': is a model of segmentation, but this is for models of classification$"
    with pytest.raises(ValueError, match=told):
        plan.classified_store(MAP)
    with pytest.raises(ValueError, match=told):
        targets.check_targets(plan, [f"results/perturb/{kind}/lanes/map/weak.lmdb"])


def test_targets_beyond_a_label_are_inputs(plan):
    assert plan.clean_targets(MAP) == ["results/prep/lanes/test.targets.lmdb"]
    assert plan.clean_targets({"dataset": "scenes", "model": "net"}) == []


def test_studies_of_attacks_are_of_classifiers(plan):
    assert plan.classified_store({"dataset": "scenes", "model": "net"}) == plan.store("scenes", "test")
    rules = (ROOT / "workflow" / "rules" / "attack.smk").read_text()
    scored = [rule for rule in re.split(r"^rule ", rules, flags=re.MULTILINE) if "PLAN.scored_store" in rule]
    assert [rule.partition(":")[0] for rule in scored] == ["attack", "pictures"]


def test_any_attack_is_within_the_limits_of_a_data_set_without_classes(plan):
    plan.datasets["rooms"] = {"dataset": "rooms", "task": ["depth"]}
    try:
        check_attack(plan, "ratio", "rooms", "here")
    finally:
        del plan.datasets["rooms"]


def test_its_load_grows_with_the_steps(plan):
    weak, auto = (Work(plan).attack(MAP | {"attack": attack}) for attack in ("weak", "auto"))
    assert auto.gflop > 10 * weak.gflop > 0 and weak.mb > 0
