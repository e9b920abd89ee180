"""Figures 7 to 12, of the light recipe (Debenedetti et al. 2023, arXiv:2209.07399)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mettle import files
from mettle.plan.attacks import is_own
from mettle.plan.figure import Figure, Options, check_entry, check_models
from mettle.plan.limits import check_attack

if TYPE_CHECKING:
    from mettle.plan.plan import Plan


def _per_model(kind: str) -> Callable[["Plan", Options], list[str]]:
    def cells(plan: "Plan", options: Options) -> list[str]:
        return [f"{plan.results}/{kind}/{options['dataset']}/{model}.parquet" for model in options["models"]]

    return cells


def _fig9_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"{plan.results}/attack/{options['dataset']}/{model}/{attack}.parquet"
        for model in options["models"]
        for attack in plan.attack_grid(options["attack"])
    ]


def _check_fig9(plan: "Plan", options: Options, where: str) -> None:
    check_models(plan, options, where)
    check_entry(plan, options["attack"], [options["dataset"]], f"{where}.attack")
    if any(is_own(plan.attacks[attack]) for attack in plan.attack_grid(options["attack"])):
        raise ValueError(f"{where}.attack: '{options['attack']}' has one eps per model, but the figure's axis is eps")
    for key in plan.config["attack"]["attacks"][options["attack"]].get("grid", {}):
        if key != "eps":
            raise ValueError(
                f"{where}.attack: the grid of '{options['attack']}' varies '{key}', but the figure's axis is eps: "
                "name an attack with a grid over eps alone"
            )


def _fig10_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"{plan.results}/attack/{plan.models[model]['dataset']}/{model}/{attack}.parquet"
        for model in plan.models_of_sweep(options["sweep"])
        for attack in options["attacks"]
    ]


def _check_fig10(plan: "Plan", options: Options, where: str) -> None:
    plan.known(options["sweep"], plan.config["sweeps"], "sweep", f"{where}.sweep")
    for attack in options["attacks"]:
        plan.known(attack, plan.attacks, "attack", f"{where}.attacks")
        for dataset in {plan.models[model]["dataset"] for model in plan.models_of_sweep(options["sweep"])}:
            check_attack(plan, attack, dataset, f"{where}.attacks")


def _fig11_cells(plan: "Plan", options: Options) -> list[str]:
    where = f"{plan.results}/semantics/{options['dataset']}"
    return [f"{where}/{model}/{options['attack']}.parquet" for model in options["models"]]


def _check_fig11(plan: "Plan", options: Options, where: str) -> None:
    check_models(plan, options, where)
    plan.known(options["attack"], plan.attacks, "attack", f"{where}.attack")
    check_attack(plan, options["attack"], options["dataset"], f"{where}.attack")
    for model in options["models"]:
        plan.judges(options | {"model": model})  # a sentence where the data set has none, or one that is no other model


def _fig12_cells(plan: "Plan", options: Options) -> list[str]:
    return [f"results/train/{model}/epochs.parquet" for model in options["models"]]


def _check_fig12(plan: "Plan", options: Options, where: str) -> None:
    for model in options["models"]:
        plan.known(model, plan.trained, "trained model", f"{where}.models")


def _numbers(sheet: str) -> Callable[["Plan", Options], list[str]]:
    def beside(plan: "Plan", options: Options) -> list[str]:
        return [str(files.found(f"resources/published/{sheet}.csv"))] if options["published"] else []

    return beside


def _perturbed(plan: "Plan", options: Options) -> list[str]:
    where = f"{plan.results}/perturb/perturbation/{options['dataset']}"
    return [f"{where}/{model}/{options['attack']}.lmdb" for model in options["models"]]


def _cells_of_sweep(plan: "Plan", options: Options) -> Options:
    models = plan.models_of_sweep(options["sweep"])
    return {
        "cells": {name: plan.models[name]["cell"] for name in models},
        "values": {name: plan.recipes.cells[plan.models[name]["recipe"]] for name in models},
    }


LIGHT_RECIPE = {
    "fig7": Figure(
        "attack effectiveness by training epoch",
        _per_model("effectiveness"),
        check_models,
        _numbers("attack_effectiveness"),
    ),
    "fig8": Figure("attack convergence", _per_model("convergence"), check_models, _numbers("attack_convergence")),
    "fig9": Figure("AutoAttack accuracy by eps", _fig9_cells, _check_fig9, _numbers("autoattack_by_eps")),
    "fig10": Figure("recipe ablation", _fig10_cells, _check_fig10, told=_cells_of_sweep),
    "fig11": Figure("what perturbations look like to other models", _fig11_cells, _check_fig11, _perturbed),
    "fig12": Figure("learning curves", _fig12_cells, _check_fig12, _numbers("learning_curves")),
}
