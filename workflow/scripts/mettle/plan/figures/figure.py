"""A figure or summary table as one record, from its cells to its drawing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mettle.plan.cells import Cells
from mettle.plan.limits import check_attack
from mettle.tables import Table
from mettle.tables.columns import STR, Column

Options = dict[str, Any]
LABEL = {"label": Column(STR, "words for the model: the label of its row; a published one is said to be published")}


@dataclass(frozen=True)
class Figure:
    """A figure, or a summary table that has no drawing.

    Its options are described in figures.schema.yaml. `rows` and `draw` are names, so that a dry run imports neither of
    them, and each job only its own.

    Attributes
    ----------
    shows : what it shows, in a few words
    cells : (sheets, options) to the files it is made from
    check : (sheets, options, where); raises a ValueError for options that do not fit sheets and other blocks
    made_from : tables that the cells are files of, several where they are of several tasks
    table : its own
    rows : function of mettle.stages.tabulate, as `accuracy.own`; it takes rows of cells, the options with the `seed` of
        the run, and the paths of `beside`, and gives rows of `table`
    draw : module of mettle.stages.plot whose `draw` makes a drawing of the table; empty for none
    beside : (sheets, options) to other files it is made from: published values, images
    told : (sheets, options) to params of its job beyond the options
    draws : whether its table depends on the seed
    pairs : whether it shows pairs of models
    """

    shows: str
    cells: Callable[[Cells, Options], list[str]]
    check: Callable[[Cells, Options, str], None]
    made_from: tuple[Table, ...]
    table: Table
    rows: str
    draw: str = ""
    beside: Callable[[Cells, Options], list[str]] = lambda sheets, options: []
    told: Callable[[Cells, Options], Options] = lambda sheets, options: {}
    draws: bool = False
    pairs: bool = False


def labels(sheets: Cells, options: Options) -> Options:
    """Labels of the models of a figure, as its job is told them."""
    return {"labels": {model: sheets.models[model]["label"] for model in options["models"]}}


def cells_of_entry(sheets: Cells, options: Options) -> list[str]:
    """Cells of the models of a figure under its entry of `attack.attacks`."""
    return [
        f"{sheets.results}/attack/{options['dataset']}/{model}/{attack}.parquet"
        for model in options["models"]
        for attack in sheets.attack_grid(options["attack"])
    ]


def check_models(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for a data set that is unknown, or models that are not of it."""
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    for model in options["models"]:
        if not sheets.fits(model, options["dataset"]):
            raise ValueError(f"{where}.models: '{model}' is not a model of '{options['dataset']}'")


def check_entry(sheets: Cells, entry: str, datasets: Iterable[str], where: str) -> None:
    """Raise ValueError for an entry of `attack.attacks` that is unknown, or cannot be on one of these data sets."""
    sheets.known_attack(entry, where)
    for attack in sheets.attack_grid(entry):
        for dataset in datasets:
            check_attack(sheets, attack, dataset, where)
