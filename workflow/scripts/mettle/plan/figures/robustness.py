"""Figures of robustness to corruptions, and of its transfer to other tasks."""

from mettle.plan.cells import Cells
from mettle.plan.figures.figure import Figure, Options
from mettle.tables import EXAMPLES, Table


def _examples(sheets: Cells, options: Options) -> list[str]:
    return [sheets.examples(options["dataset"], options["corruptions"])]


def _check_examples(sheets: Cells, options: Options, where: str) -> None:
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    sheets.known_corruptions(options["corruptions"], f"{where}.corruptions")
    sheets.store(options["dataset"], "test")  # raises if there is none


FIGURES = {
    "corruptions": Figure(
        "images under every corruption",
        _examples,
        _check_examples,
        made_from=EXAMPLES,
        table=Table("corruptions", "Images of the figure `corruptions`, as in `examples`.", EXAMPLES.columns),
        rows="robustness.examples",
        draw="corruptions",
    ),
}
