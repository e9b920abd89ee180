"""What a figure or summary table is to the plan."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mettle.plan.limits import check_attack

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
    told : (plan, options) to what its job is told beyond its options
    drawn : whether it has a drawing
    draws : whether its table depends on the seed
    pairs : whether it shows pairs of models; their set stands in `options["set"]`
    """

    shows: str
    cells: Callable[["Plan", Options], list[str]]
    check: Callable[["Plan", Options, str], None]
    beside: Callable[["Plan", Options], list[str]] = lambda plan, options: []
    told: Callable[["Plan", Options], Options] = lambda plan, options: {}
    drawn: bool = True
    draws: bool = False
    pairs: bool = False


def check_models(plan: "Plan", options: Options, where: str) -> None:
    """Raise ValueError for models that are unknown, or not models of the figure's data set."""
    plan.known(options["dataset"], plan.datasets, "data set", f"{where}.dataset")
    for model in options["models"]:
        plan.known(model, plan.models, "model", f"{where}.models")
        if not plan.fits(model, options["dataset"]):
            raise ValueError(f"{where}.models: '{model}' is not a model of '{options['dataset']}'")


def check_entry(plan: "Plan", entry: str, datasets: Iterable[str], where: str) -> None:
    """Raise ValueError for an entry of `attack.attacks` that is unknown, or cannot be on one of these data sets."""
    plan.known_attack(entry, where)
    for attack in plan.attack_grid(entry):
        for dataset in datasets:
            check_attack(plan, attack, dataset, where)
