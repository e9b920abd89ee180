"""Figures 7 to 12, of the light recipe (Debenedetti et al. 2023, arXiv:2209.07399)."""

from collections.abc import Callable

from mettle import files
from mettle.plan.attacks import is_own
from mettle.plan.cells import Cells
from mettle.plan.figures.accuracy import SHARES
from mettle.plan.figures.figure import LABEL, Figure, Options, cells_of_entry, check_entry, check_models, labels
from mettle.plan.limits import check_attack
from mettle.tables import ATTACK, CONVERGENCE, EFFECTIVENESS, EPOCHS, RESULT, SEMANTICS, Table, keys
from mettle.tables.cells import BY_EPOCH, RUN
from mettle.tables.columns import BINARY, FLOAT, STR, Column

_FROM = {"source": Column(STR, "`here`, or the source of a published value")}
_STEPS = {"steps": RUN["steps"]}


def _labels_of_both(sheets: Cells, options: Options) -> Options:
    """Labels of the models that are attacked and of the judges."""
    judges = [judge for model in options["models"] for judge in sheets.judges(options | {"model": model})]
    return labels(sheets, options | {"models": [*options["models"], *judges]})


def _per_model(kind: str) -> Callable[[Cells, Options], list[str]]:
    def cells(sheets: Cells, options: Options) -> list[str]:
        return [f"{sheets.results}/{kind}/{options['dataset']}/{model}.parquet" for model in options["models"]]

    return cells


def _check_fig9(sheets: Cells, options: Options, where: str) -> None:
    check_models(sheets, options, where)
    check_entry(sheets, options["attack"], [options["dataset"]], f"{where}.attack")
    if any(is_own(sheets.attacks[attack]) for attack in sheets.attack_grid(options["attack"])):
        raise ValueError(f"{where}.attack: '{options['attack']}' has one eps per model, but the figure's axis is eps")
    for key in sheets.config["attack"]["attacks"][options["attack"]].get("grid", {}):
        if key != "eps":
            raise ValueError(
                f"{where}.attack: the grid of '{options['attack']}' varies '{key}', but the figure's axis is eps: "
                "name an attack with a grid over eps alone"
            )


def _fig10_cells(sheets: Cells, options: Options) -> list[str]:
    return [
        f"{sheets.results}/attack/{sheets.models[model]['dataset']}/{model}/{attack}.parquet"
        for model in sheets.models_of_sweep(options["sweep"])
        for attack in options["attacks"]
    ]


def _check_fig10(sheets: Cells, options: Options, where: str) -> None:
    sheets.known(options["sweep"], sheets.config["sweeps"], "sweep", f"{where}.sweep")
    for attack in options["attacks"]:
        sheets.known(attack, sheets.attacks, "attack", f"{where}.attacks")
        for dataset in {sheets.models[model]["dataset"] for model in sheets.models_of_sweep(options["sweep"])}:
            check_attack(sheets, attack, dataset, f"{where}.attacks")


def _fig11_cells(sheets: Cells, options: Options) -> list[str]:
    folder = f"{sheets.results}/semantics/{options['dataset']}"
    return [f"{folder}/{model}/{options['attack']}.parquet" for model in options["models"]]


def _check_fig11(sheets: Cells, options: Options, where: str) -> None:
    check_models(sheets, options, where)
    sheets.known(options["attack"], sheets.attacks, "attack", f"{where}.attack")
    check_attack(sheets, options["attack"], options["dataset"], f"{where}.attack")
    for model in options["models"]:
        sheets.judges(
            options | {"model": model}
        )  # a sentence where the data set has none, or one that is no other model


def _fig12_cells(sheets: Cells, options: Options) -> list[str]:
    return [f"results/train/{model}/epochs.parquet" for model in options["models"]]


def _check_fig12(sheets: Cells, options: Options, where: str) -> None:
    for model in options["models"]:
        sheets.known(model, sheets.trained, "trained model", f"{where}.models")


def _numbers(sheet: str) -> Callable[[Cells, Options], list[str]]:
    def beside(sheets: Cells, options: Options) -> list[str]:
        return [str(files.locate(f"resources/published/{sheet}.csv"))] if options["published"] else []

    return beside


def _perturbed(sheets: Cells, options: Options) -> list[str]:
    folder = f"{sheets.results}/perturb/perturbation/{options['dataset']}"
    return [f"{folder}/{model}/{options['attack']}.lmdb" for model in options["models"]]


def _cells_of_sweep(sheets: Cells, options: Options) -> Options:
    models = sheets.models_of_sweep(options["sweep"])
    return {
        "cells": {name: sheets.models[name]["cell"] for name in models},
        "values": {name: sheets.recipes.cells[sheets.models[name]["recipe"]] for name in models},
    }


FIGURES = {
    "fig7": Figure(
        "attack effectiveness by training epoch",
        _per_model("effectiveness"),
        check_models,
        made_from=(EFFECTIVENESS,),
        table=Table(
            "fig7",
            "Rows of figure 7: means of `effectiveness` over seeds, lo and hi the smallest and largest seed; `gap` is "
            "how far the loss is below that of PGD with the most steps, as a fraction of it: negative where APGD finds "
            "more.",
            keys("dataset", "model", "attack", "norm", "eps", "measure") | BY_EPOCH | _STEPS | RESULT | _FROM | LABEL,
        ),
        rows="light_recipe.figure7",
        draw="fig7_effectiveness",
        beside=_numbers("attack_effectiveness"),
        told=labels,
    ),
    "fig8": Figure(
        "attack convergence",
        _per_model("convergence"),
        check_models,
        made_from=(CONVERGENCE,),
        table=Table(
            "fig8",
            "Rows of figure 8: mean of `convergence` over seeds per image, lo and hi one standard deviation below and "
            "above, n the number of seeds.",
            keys("dataset", "model", "norm", "eps", "measure", "id") | _STEPS | RESULT | _FROM | LABEL,
        ),
        rows="light_recipe.figure8",
        draw="fig8_convergence",
        beside=_numbers("attack_convergence"),
        told=labels,
    ),
    "fig9": Figure(
        "AutoAttack accuracy by eps",
        cells_of_entry,
        _check_fig9,
        made_from=(ATTACK,),
        table=Table(
            "fig9",
            "Accuracy under AutoAttack by eps; lo and hi are the 95 % Wilson interval.",
            keys("dataset", "model", "attack", "norm", "eps", "measure") | SHARES | _FROM | LABEL,
        ),
        rows="light_recipe.figure9",
        draw="fig9_autoattack",
        beside=_numbers("autoattack_by_eps"),
        told=labels,
    ),
    "fig10": Figure(
        "recipe ablation",
        _fig10_cells,
        _check_fig10,
        made_from=(ATTACK,),
        table=Table(
            "fig10",
            "Clean and attacked accuracy of every cell of a sweep; lo and hi are the 95 % Wilson interval.",
            keys("dataset", "model", "attack", "norm", "eps", "measure")
            | {
                "cell": Column(STR, "values that the recipe takes in the grid of the sweep"),
                "swept": Column(STR, "number that the sweep varies, where it varies one or two keys", nullable=True),
                "at": Column(FLOAT, "its value", nullable=True),
                "other": Column(STR, "the other key that the sweep varies, with its value", nullable=True),
            }
            | SHARES,
        ),
        rows="light_recipe.figure10",
        draw="fig10_ablation",
        told=_cells_of_sweep,
    ),
    "fig11": Figure(
        "what perturbations look like to other models",
        _fig11_cells,
        _check_fig11,
        made_from=(SEMANTICS,),
        table=Table(
            "fig11",
            "Rows of figure 11: fraction of perturbations to which a model gives the true class, lo and hi the 95 % "
            "Wilson interval; rows of measure `example` hold a perturbation as an image.",
            keys("dataset", "model", "model_b", "attack", "norm", "eps", "measure", "id")
            | RESULT
            | {"image": Column(BINARY, "PNG of an example", nullable=True)}
            | LABEL
            | {"label_b": Column(STR, "words for `model_b`")},
        ),
        rows="light_recipe.figure11",
        draw="fig11_semantics",
        beside=_perturbed,
        told=_labels_of_both,
    ),
    "fig12": Figure(
        "learning curves",
        _fig12_cells,
        _check_fig12,
        made_from=(EPOCHS,),
        table=Table(
            "fig12",
            "Learning curves: accuracies of `epochs` in long form; lo and hi are the 95 % Wilson interval on held-out "
            "images, or the lower and the higher of two published runs.",
            keys("model", "measure") | {"epoch": RUN["epoch"]} | _STEPS | RESULT | _FROM | LABEL,
        ),
        rows="light_recipe.figure12",
        draw="fig12_curves",
        beside=_numbers("learning_curves"),
        told=labels,
    ),
}
