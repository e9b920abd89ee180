"""Every figure and summary table by name."""

import itertools
from typing import TYPE_CHECKING

from mettle import files
from mettle.plan.attacks import is_own
from mettle.plan.figure import Figure, Options, check_entry
from mettle.plan.light_recipe import LIGHT_RECIPE
from mettle.plan.universality import UNIVERSALITY

if TYPE_CHECKING:
    from mettle.plan.plan import Plan


def _accuracy_cells(plan: "Plan", options: Options) -> list[str]:
    cells = (plan.attack_cells(one["datasets"], one["attacks"]) for one in options["evaluations"])
    return list(dict.fromkeys(itertools.chain.from_iterable(cells)))


def _check_accuracy(plan: "Plan", options: Options, where: str) -> None:
    for number, one in enumerate(options["evaluations"]):
        for dataset in one["datasets"]:
            plan.known(dataset, plan.datasets, "data set", f"{where}.evaluations.{number}.datasets")
            models = [model for model in plan.models if plan.fits(model, dataset)]
            if models and not any(plan.scores(model, dataset) for model in models):
                plan.scored_store({"model": models[0], "dataset": dataset})  # says why
        for attack in one["attacks"]:
            check_entry(plan, attack, one["datasets"], f"{where}.evaluations.{number}.attacks")


def published_cells(plan: "Plan", options: Options) -> list[str]:
    """Attack cells of the models that have published accuracies, under the attack of their norm and eps."""
    cells = []
    for row in plan.published_numbers(options["numbers"]):
        for attack in plan.attack_grid(options["attack"]):
            if row["model"] not in plan.models or "autoattack" not in row:
                continue
            found = plan.attack({"attack": attack, "model": row["model"]})
            if (found["norm"], found["eps"]) == (row["norm"], row["eps"]):
                cells.append(f"{plan.results}/attack/{row['images']}/{row['model']}/{attack}.parquet")
    return cells


def _check_published(plan: "Plan", options: Options, where: str) -> None:
    images = dict.fromkeys(row["images"] for row in plan.published_numbers(options["numbers"]))
    check_entry(plan, options["attack"], [name for name in images if name in plan.datasets], f"{where}.attack")
    if not published_cells(plan, options):
        raise ValueError(f"{where}: no model of {options['numbers']} is in the sheets with an attack of its eps")


def _in_own_ball(plan: "Plan", options: Options, datasets: list[str]) -> list[tuple[str, str]]:
    """Data set and name of the models that are shown: those with a listed eps and its threat."""
    listed, threats = options["models"], ("none", options["threat"])
    chosen = listed if isinstance(listed, list) else plan.sets[plan.set_of("universality_accuracy")].models
    rows = {name: plan.models[name] for name in chosen}
    fit = [name for name, row in rows.items() if row["eps"] in options["eps"] and row["threat"] in threats]
    return [(dataset, name) for dataset in datasets for name in fit if plan.scores(name, dataset)]


def _own_cells(plan: "Plan", options: Options) -> list[str]:
    """Cells of models under attacks in their own ball; of a model without one, the first, with its clean answers."""
    cells = []
    for one in options["evaluations"]:
        attacks = [attack for entry in one["attacks"] for attack in plan.attack_grid(entry)]
        for dataset, name in _in_own_ball(plan, options, one["datasets"]):
            for attack in attacks if plan.models[name]["eps"] else attacks[:1]:
                cells.append(f"{plan.results}/attack/{dataset}/{name}/{attack}.parquet")
    return list(dict.fromkeys(cells))


def _check_own(plan: "Plan", options: Options, where: str) -> None:
    if isinstance(options["models"], str):
        plan.known_set(options["models"], f"{where}.models")
    for name in options["models"] if isinstance(options["models"], list) else []:
        plan.known(name, plan.models, "model", f"{where}.models")
    _check_accuracy(plan, options, where)
    for number, one in enumerate(options["evaluations"]):
        place = f"{where}.evaluations.{number}"
        for entry in one["attacks"]:
            if not all(is_own(plan.attacks[attack]) for attack in plan.attack_grid(entry)):
                raise ValueError(f"{place}.attacks: '{entry}' has an eps: name an attack with `norm: own, eps: own`")
        if not _in_own_ball(plan, options, one["datasets"]):
            datasets = "' or '".join(one["datasets"])
            raise ValueError(f"{place}: no model of '{datasets}' has one of the eps in {options['threat']}")


FIGURES = {
    "accuracy": Figure("clean and attacked accuracy", _accuracy_cells, _check_accuracy, drawn=False),
    "universality_accuracy": Figure(
        "clean accuracy, and accuracy at the eps of training",
        _own_cells,
        _check_own,
        lambda plan, options: [str(files.found(options["numbers"]))],
        drawn=False,
    ),
    **UNIVERSALITY,
    **LIGHT_RECIPE,
    "published": Figure(
        "measured beside published accuracy",
        published_cells,
        _check_published,
        lambda plan, options: [str(files.found(options["numbers"]))],
        drawn=False,
    ),
}
