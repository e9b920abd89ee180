"""What the schema of recipes says of options that do nothing is so: with another value the same weights come out."""

import hashlib
import json

import pytest
import torch
from trainings import ATTACK, SGD, one_epoch, recipe, training

from changes import RECIPE_VALUES, at, other, put
from mettle import models, schema
from mettle.plan.idle import known

BASE = {
    "epochs": 2,
    "batch_size": 32,
    "optimizer": SGD | {"lr": 0.002},
    "schedule": {"name": "cosine"},
    "augment": {"horizontal_flip": True},
    "validation": {"every": 1, "steps": 2, "images": 8},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
}
ATTACKED = BASE | {"loss": "adversarial", "attack": ATTACK | {"schedule": {"shape": "linear", "period": 4}}}
_MADE = {}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    def build(classes, size):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size**2, classes))

    monkeypatch.setitem(models.ARCHITECTURES, "plain", models.Architecture(build, "linear", "none"))


def made(options, stores, folder):
    """Digest of the weights and of the table of epochs."""
    key = json.dumps(options, sort_keys=True)
    if key not in _MADE:
        run = training(stores, recipe(**options), arch="plain")
        rows = [one_epoch(run, folder) | {"images_per_second": 0} for _ in range(2)]
        weights = b"".join(value.numpy().tobytes() for value in run.model.state_dict().values())
        _MADE[key] = hashlib.sha256(weights + repr(rows).encode()).hexdigest()
    return _MADE[key]


def cases():
    """(option, values of others beside which it does nothing), each of these values once."""
    for path, rules in known().items():
        for case in rules.get("idle", []):
            first, *more = [_listed(values) for values in case.values()]
            for value in first:
                found = dict(zip(case, [value, *(values[0] for values in more)], strict=True))
                if found.get("task", "classification") != "classification":
                    continue  # another rule trains these
                if found != {"optimizer.momentum": 0}:  # nesterov without momentum is an error of torch's
                    yield path, found


def _listed(values):
    if isinstance(values, list):
        return values
    primitives = schema.names("recipe.augment.prime.primitives")
    return [[name for name in primitives if name != values["lacks"]]] if "lacks" in values else ["rand-m9-mstd0.5-inc1"]


@pytest.mark.parametrize(("path", "case"), [*cases()])
def test_another_value_of_an_option_that_does_nothing_changes_nothing(tmp_path, stores, path, case):
    clean = case.get("loss") in ("standard", "bce", "jsd") or "attack" in case
    options = BASE if clean else ATTACKED
    if case.get("schedule.name") == "multistep":
        options = put(options, "schedule.milestones", [1])
    if case.get("loss") == "jsd":
        options = put(options, "augment.auto_augment", "augmix-m1-w2")
    for key, value in case.items():
        options = options if key == "attack" else put(options, key, value)
    value = at(options, path, known()[path].get("default"))
    changed = put(options, path, RECIPE_VALUES.get(path) or other(value, known()[path]))
    assert changed != options
    assert made(changed, stores, tmp_path) == made(options, stores, tmp_path)


def test_beside_other_values_it_changes_something(tmp_path, stores):
    for path, value in (("validation.steps", 5), ("attack.schedule.period", 2), ("optimizer.momentum", 0.5)):
        assert made(put(ATTACKED, path, value), stores, tmp_path) != made(ATTACKED, stores, tmp_path)
