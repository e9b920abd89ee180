"""What each figure and summary table is made from: the cells it needs, and what its configuration may say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

Options = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure, or a summary table that has no drawing.

    Attributes
    ----------
    shows : what it shows, in a few words
    cells : (plan, options) to the files it is made from
    check : (plan, options, where); raises a ValueError for options that do not fit sheets and other blocks
    beside : (plan, options) to other files it is made from: published values, images
    drawn : whether it has a drawing
    """

    shows: str
    cells: Callable[["Plan", Options], list[str]]
    check: Callable[["Plan", Options, str], None]
    beside: Callable[["Plan", Options], list[str]] = lambda plan, options: []
    drawn: bool = True


def _accuracy_cells(plan: "Plan", options: Options) -> list[str]:
    return plan.attack_cells(options["datasets"])


def _check_accuracy(plan: "Plan", options: Options, where: str) -> None:
    for dataset in options["datasets"]:
        plan.known(dataset, plan.datasets, "data set", f"{where}.datasets")


def fig5_models(plan: "Plan", options: Options) -> list[str]:
    """Models that figure 5 shows: those of its data set with a listed eps and its threat."""

    def shown(model: str) -> bool:
        row = plan.models[model]
        return row["eps"] in options["eps"] and row["threat"] in ("none", options["threat"])

    return [name for name in options.get("models") or plan.models_of(options["dataset"]) if shown(name)]


def _fig5_cells(plan: "Plan", options: Options) -> list[str]:
    """Subgroup cells of models with at least one model above them."""
    return [
        f"results/subgroups/{options['dataset']}/natural/{measure}/{model}.parquet"
        for measure in options["measures"]
        for model in fig5_models(plan, options)
        if plan.above(model)
    ]


def _check_fig5(plan: "Plan", options: Options, where: str) -> None:
    plan.known(options["dataset"], plan.datasets, "data set", f"{where}.dataset")
    for measure in options["measures"]:
        plan.known(measure, plan.measures, "measure", f"{where}.measures")
    _check_models(plan, options, where)
    for eps in options["eps"]:
        if sum(plan.models[name]["eps"] == eps for name in fig5_models(plan, options)) < 2:
            raise ValueError(f"{where}.eps: {eps:g} needs two models of '{options['dataset']}' in the sheet, or more")


def _per_model(kind: str) -> Callable[["Plan", Options], list[str]]:
    def cells(plan: "Plan", options: Options) -> list[str]:
        return [f"results/{kind}/{options['dataset']}/{model}.parquet" for model in options["models"]]

    return cells


def _check_models(plan: "Plan", options: Options, where: str, key: str = "models") -> None:
    plan.known(options["dataset"], plan.datasets, "data set", f"{where}.dataset")
    for model in options.get(key, []):
        plan.known(model, plan.models, "model", f"{where}.{key}")
        if not plan.fits(model, options["dataset"]):
            raise ValueError(f"{where}.{key}: '{model}' is not a model of '{options['dataset']}'")


def _check_fig7(plan: "Plan", options: Options, where: str) -> None:
    _check_models(plan, options, where)
    for model in options["models"]:
        recipe = plan.models[model]["recipe"]
        if plan.models[model]["source"] != "train" or not plan.recipe({"model": model})["checkpoints"]:
            raise ValueError(f"{where}.models: '{model}' keeps no checkpoints: set `checkpoints` of recipe '{recipe}'")


def _fig9_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"results/attack/{options['dataset']}/{model}/{attack}.parquet"
        for model in options["models"]
        for attack in plan.attack_grid(options["attack"])
    ]


def _check_fig9(plan: "Plan", options: Options, where: str) -> None:
    _check_models(plan, options, where)
    plan.known_attack(options["attack"], f"{where}.attack")


def _fig10_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"results/attack/{plan.models[model]['dataset']}/{model}/{attack}.parquet"
        for model in plan.models_of_sweep(options["sweep"])
        for attack in options["attacks"]
    ]


def _check_fig10(plan: "Plan", options: Options, where: str) -> None:
    plan.known(options["sweep"], plan.config["sweeps"], "sweep", f"{where}.sweep")
    for attack in options["attacks"]:
        plan.known(attack, plan.attacks, "attack", f"{where}.attacks")


def _fig11_cells(plan: "Plan", options: Options) -> list[str]:
    where = f"results/semantics/{options['dataset']}"
    return [f"{where}/{model}/{options['attack']}.parquet" for model in options["models"]]


def _check_fig11(plan: "Plan", options: Options, where: str) -> None:
    _check_models(plan, options, where)
    _check_models(plan, options, where, "judges")
    plan.known(options["attack"], plan.attacks, "attack", f"{where}.attack")


def _fig12_cells(plan: "Plan", options: Options) -> list[str]:
    return [f"results/train/{model}/epochs.parquet" for model in options["models"]]


def _check_fig12(plan: "Plan", options: Options, where: str) -> None:
    for model in options["models"]:
        plan.known(model, plan.trained, "trained model", f"{where}.models")


def published_cells(plan: "Plan", options: Options) -> list[str]:
    """Attack cells of the models that have published accuracies, under the attack of their norm and eps."""
    cells = []
    for row in plan.published_numbers(options["numbers"]):
        for attack in plan.attack_grid(options["attack"]):
            found = plan.attacks[attack]
            if row["model"] in plan.models and (found["norm"], found["eps"]) == (row["norm"], row["eps"]):
                cells.append(f"results/attack/{row['images']}/{row['model']}/{attack}.parquet")
    return cells


def _check_published(plan: "Plan", options: Options, where: str) -> None:
    plan.known_attack(options["attack"], f"{where}.attack")
    if not published_cells(plan, options):
        raise ValueError(f"{where}: no model of {options['numbers']} is in the sheets with an attack of its eps")


def _numbers(sheet: str) -> Callable[["Plan", Options], list[str]]:
    def beside(plan: "Plan", options: Options) -> list[str]:
        return [f"resources/published/{sheet}.csv"] if options["published"] else []

    return beside


def _perturbed(plan: "Plan", options: Options) -> list[str]:
    where = f"results/perturb/perturbation/{options['dataset']}"
    return [f"{where}/{model}/{options['attack']}.lmdb" for model in options["models"]]


FIGURES = {
    "accuracy": Figure("clean and attacked accuracy", _accuracy_cells, _check_accuracy, drawn=False),
    "fig5": Figure("similarity on agreeing and disagreeing images", _fig5_cells, _check_fig5),
    "fig7": Figure(
        "attack effectiveness by training epoch",
        _per_model("effectiveness"),
        _check_fig7,
        _numbers("attack_effectiveness"),
    ),
    "fig8": Figure("attack convergence", _per_model("convergence"), _check_models, _numbers("attack_convergence")),
    "fig9": Figure("AutoAttack accuracy by eps", _fig9_cells, _check_fig9, _numbers("autoattack_by_eps")),
    "fig10": Figure("recipe ablation", _fig10_cells, _check_fig10),
    "fig11": Figure("what perturbations look like to other models", _fig11_cells, _check_fig11, _perturbed),
    "fig12": Figure("learning curves", _fig12_cells, _check_fig12),
    "published": Figure(
        "measured beside published accuracy",
        published_cells,
        _check_published,
        lambda plan, options: [options["numbers"]],
        drawn=False,
    ),
}
