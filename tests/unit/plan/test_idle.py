"""Options of a recipe that do nothing beside others are refused by name; what a recipe inherits may be switched off."""

import json

import pytest
import yaml

from changes import BALL, BESIDE, PLAIN, RECIPE_VALUES, at, leaves, other, put
from mettle import schema
from mettle.plan.idle import known
from mettle.plan.recipes import Recipes

BASE = {key: PLAIN[key] for key in ("epochs", "batch_size", "optimizer", "schedule", "input")}
ROBUST = BASE | {"loss": "adversarial", "attack": BALL}
TASKS = ("classification", "segmentation", "detection", "depth")
PRIMITIVES = schema.names("recipe.augment.prime.primitives")
# Options that always do something, whatever the others are; an option that is new belongs here or gets `idle`.
ALWAYS = {
    "": "kind extends task epochs batch_size precision drop_path clip_norm",
    "optimizer.": "name lr scaling momentum weight_decay",
    "schedule.": "name by",
    "attack.": "norm eps steps step_size random_start target precision schedule.shape",
    "input.": "size mean std",
    "augment.": "horizontal_flip",
    "augment.prime.": "width depth primitives parity",
    "linear.": "layers norm class_token",
    "mix.": "ratio",
}


@pytest.fixture
def place(tmp_path):
    """Writes recipes by name; returns them as they are read."""

    def write(**recipes):
        for name, recipe in recipes.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        return Recipes(tmp_path)

    return write


def refused(recipes, name, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name)


# The table


def test_every_option_says_when_it_does_nothing_or_always_does_something():
    always = [block + key for block, keys in ALWAYS.items() for key in keys.split()]
    assert sorted(path for path, rules in leaves(schema.load("recipe")) if "idle" not in rules) == sorted(always)


def cases():
    """(option, values of others beside which it does nothing)."""
    for path, rules in known().items():
        for case in rules.get("idle", []):
            yield path, {key: _one_of(key, values) for key, values in case.items()}


def _one_of(key, values):
    if isinstance(values, list):
        return values[0]
    return [name for name in PRIMITIVES if name != values["lacks"]] if "lacks" in values else "rand-m9-mstd0.5-inc1"


def _task_of(path):
    """A task for which an option does something."""
    idle = {task for case in known()[path].get("idle", []) if [*case] == ["task"] for task in case["task"]}
    known_for = ("segmentation", "depth") if path.startswith("linear.") else TASKS
    return next(task for task in known_for if task not in idle)


@pytest.mark.parametrize(("path", "case"), [*cases()], ids=lambda value: value if isinstance(value, str) else "")
def test_an_option_that_does_nothing_is_refused_by_name(place, path, case):
    value = RECIPE_VALUES.get(path) or other(known()[path].get("default"), known()[path])
    dense = case.get("task", "classification") != "classification"
    attacked = not (case.get("loss") in ("standard", "bce") or "attack" in case or dense)
    recipe = ROBUST if attacked else BASE
    if "task" not in case and (of := _task_of(path)) != "classification":
        recipe, dense = put(BASE, "task", of), True
    recipe = put(recipe, "input", BASE["input"] | {"resize": None}) if dense else recipe
    recipe = put(recipe, "linear", {}) if "depth" in (recipe.get("task"), case.get("task")) else recipe
    if path.startswith("attack.schedule") or "attack.schedule.period" in case:
        recipe = put(recipe, "attack.schedule.shape", "linear")
    beside = {"augment.mixup": 0.8} if path == "augment.epochs_without_mixup" and "augment.mixup" not in case else {}
    for key, found in ({path: value} | case | beside).items():
        recipe = recipe if key == "attack" else put(recipe, key, found)
    shown = " and ".join(
        f"there is no {key}" if found is None and key == "attack" else f"{key} is {json.dumps(found)}"
        for key, found in case.items()
    )
    with pytest.raises(ValueError) as error:
        place(mine=recipe).get("mine")
    assert str(error.value).endswith(
        f"mine.yaml: {path} does nothing where {shown}: take it out, or change {' or '.join(case)}"
    )


@pytest.mark.parametrize("path", sorted(BESIDE.keys() - {"loss_options"}))
def test_beside_others_it_is_taken(place, path):
    task = _task_of(path)
    dense = put(put(BASE, "input.resize", None), "task", task) if task != "classification" else None
    viewed = BASE | {"augment": PLAIN["augment"]}
    recipe = dense or (viewed if path == "jsd_weight" else ROBUST)
    for key, value in BESIDE[path].items():
        recipe = put(recipe, key, value)
    rules = known()[path]
    value = RECIPE_VALUES.get(path) or other(rules.get("default"), rules)
    assert at(place(mine=put(recipe, path, value)).get("mine"), path) == value


# Recipes that build on others


def test_what_is_inherited_may_be_switched_off(place):
    trades = ROBUST | {
        "loss": "trades",
        "beta": 3,
        "optimizer": BASE["optimizer"] | {"scaling": "sqrt", "base_batch": 64},
    }
    found = place(trades=trades, other={"extends": "trades", "loss": "adversarial", "optimizer": {"scaling": "none"}})
    assert found.get("other")["optimizer"]["base_batch"] == 64


def test_an_option_may_wait_for_a_recipe_that_builds_on_it(place):
    found = place(half=ROBUST | {"beta": 3}, whole={"extends": "half", "loss": "trades"}, more={"extends": "whole"})
    assert found.get("more")["beta"] == 3
    refused(found, "half", r"half\.yaml: beta does nothing where loss is \"adversarial\": take it out, or change loss$")


def test_an_option_that_nobody_on_the_way_uses_is_refused_where_it_is_written(place):
    found = place(first=BASE | {"clip_mode": "value"}, second={"extends": "first", "epochs": 9})
    refused(found, "second", r"first\.yaml: clip_mode does nothing where clip_norm is null: ")


def test_a_block_that_is_taken_away_takes_its_options_along(place):
    attacked = put(ROBUST, "attack.schedule.period", 5)
    found = place(attacked=attacked, clean={"extends": "attacked", "loss": "standard", "attack": None})
    assert "attack" not in found.get("clean")


def test_an_option_that_is_off_says_nothing_wrong(place):
    off = {"validation": {"every": 0}, "augment": {"epochs_without_mixup": 0}}
    assert place(mine=BASE | off).get("mine")["validation"]["every"] == 0


def test_a_recipe_for_converted_checkpoints_may_hold_anything(place):
    assert place(mine=BASE | {"beta": 3}).get("mine", trains=False)["beta"] == 3


def test_cells_of_a_sweep_that_would_train_the_same_model_twice_are_refused(place, tmp_path):
    grid = {"attack.schedule.shape": ["linear", "constant"], "attack.schedule.period": [1, 2]}
    place(robust=ROBUST)
    (tmp_path / "sweeps").mkdir()
    sweep = {"base": "robust", "dataset": "digits", "arch": "resnet8", "grid": grid}
    (tmp_path / "sweeps" / "try.yaml").write_text(yaml.safe_dump(sweep))
    message = r"cell 'try_\w+': attack\.schedule\.period does nothing where attack\.schedule\.shape is \"constant\": "
    with pytest.raises(ValueError, match=message):
        Recipes(tmp_path, ["try"])
    fixed = sweep | {"set": {"attack.schedule": {"shape": "linear", "period": 2}}}
    fixed["grid"] = {"attack.schedule.shape": ["linear", "constant"], "beta": [6]}
    (tmp_path / "sweeps" / "try.yaml").write_text(yaml.safe_dump(fixed))
    with pytest.raises(ValueError, match=r"cell 'try_\w+': beta does nothing"):
        Recipes(tmp_path, ["try"])
    fixed["grid"].pop("beta")
    (tmp_path / "sweeps" / "try.yaml").write_text(yaml.safe_dump(fixed))
    assert len(Recipes(tmp_path, ["try"]).rows) == 2


# Epochs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schedule": {"name": "multistep"}},
            r"schedule\.milestones: epochs \[30, 60, 90\] are never reached, the last of 3 is 2$",
        ),
        ({"validation": {"every": 4}}, r"validation\.every 4 measures none of 3 epochs: set it to 0 for none$"),
        (
            {"attack": BALL | {"schedule": {"shape": "sine", "zero_epochs": 3}}},
            r"attack\.schedule\.zero_epochs leaves none of 3 epochs under attack: lower it$",
        ),
        (
            {"augment": {"cutmix": 1, "epochs_without_mixup": 3}},
            r"augment\.epochs_without_mixup leaves none of 3 epochs to mixup or cutmix: lower it$",
        ),
    ],
)
def test_options_about_epochs_that_are_never_reached(place, change, message):
    refused(place(mine=ROBUST | change), "mine", r"mine\.yaml: " + message)
