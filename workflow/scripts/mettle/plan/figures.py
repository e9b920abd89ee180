"""Every figure and summary table by name."""

import itertools
from typing import TYPE_CHECKING

from mettle import files
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
            found = plan.attacks[attack]
            if row["model"] in plan.models and (found["norm"], found["eps"]) == (row["norm"], row["eps"]):
                cells.append(f"{plan.results}/attack/{row['images']}/{row['model']}/{attack}.parquet")
    return cells


def _check_published(plan: "Plan", options: Options, where: str) -> None:
    images = dict.fromkeys(row["images"] for row in plan.published_numbers(options["numbers"]))
    check_entry(plan, options["attack"], [name for name in images if name in plan.datasets], f"{where}.attack")
    if not published_cells(plan, options):
        raise ValueError(f"{where}: no model of {options['numbers']} is in the sheets with an attack of its eps")


FIGURES = {
    "accuracy": Figure("clean and attacked accuracy", _accuracy_cells, _check_accuracy, drawn=False),
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
