"""The figure of accuracy by eps from one run of an attack that looks for the smallest change."""

from mettle.plan.cells import Cells
from mettle.plan.figures.accuracy import SHARES
from mettle.plan.figures.figure import LABEL, Figure, Options, check_entry, check_models, labels
from mettle.tables import ATTACK, Table, keys
from mettle.tables.columns import STR, Column

SMALLEST = ("ddn", "fmn")  # methods whose images are the nearest that fool, at whatever distance


def _cells(sheets: Cells, options: Options) -> list[str]:
    attacks = [options["attack"], *(cell for entry in options["attacks"] for cell in sheets.attack_grid(entry))]
    return [
        f"{sheets.results}/attack/{options['dataset']}/{model}/{attack}.parquet"
        for model in options["models"]
        for attack in attacks
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for models that are not scored, an attack that has no distances, or points of another norm."""
    check_models(sheets, options, where)
    sheets.known(options["attack"], sheets.attacks, "attack", f"{where}.attack")
    for model in options["models"]:
        sheets.known_classifier(model)
        sheets.scored_store({"model": model, "dataset": options["dataset"]})  # raises for one without answers
    found = sheets.attacks[options["attack"]]
    if found["method"] not in SMALLEST:
        raise ValueError(
            f"{where}.attack: '{options['attack']}' is of method {found['method']}, which finds no smallest change: "
            f"name an attack of method {' or '.join(SMALLEST)}, and this one in `attacks`"
        )
    for entry in options["attacks"]:
        check_entry(sheets, entry, [options["dataset"]], f"{where}.attacks")
        for attack in sheets.attack_grid(entry):
            if (other := sheets.attacks[attack]["norm"]) != found["norm"]:
                raise ValueError(
                    f"{where}.attacks: '{attack}' is in {other}, the curve of '{options['attack']}' in "
                    f"{found['norm']}: name attacks in that norm"
                )


FIGURES = {
    "curves": Figure(
        "accuracy by eps, from the smallest changes that fool",
        _cells,
        _check,
        made_from=(ATTACK,),
        table=Table(
            "curves",
            "Accuracy by eps: of the curve, where it falls, at most 500 of these points per model, from one run of an "
            "attack that looks for the smallest change; and of attacks at one eps. lo and hi are the 95 % Wilson "
            "interval.",
            keys("dataset", "split", "model", "attack", "norm", "eps", "measure")
            | {"part": Column(STR, "`curve`: one run for all eps; `point`: an attack at this eps")}
            | SHARES
            | LABEL,
        ),
        rows="curves.curves",
        draw="curves",
        told=labels,
    )
}
