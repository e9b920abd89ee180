"""The figure of attacks through other models: who fools whom."""

from mettle.plan.cells import Cells
from mettle.plan.figures.accuracy import SHARES
from mettle.plan.figures.figure import LABEL, Figure, Options, cells_of_entry, check_entry, check_models
from mettle.plan.hardened import BASE, SELF
from mettle.tables import ATTACK, Table, keys
from mettle.tables.columns import STR, Column


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, models that are not scored on the data set, or an attack of one model."""
    check_models(sheets, options, where)
    check_entry(sheets, options["attack"], [options["dataset"]], f"{where}.attack")
    grid = sheets.attack_grid(options["attack"])
    if len({sheets.attacks[attack]["through"] for attack in grid}) < 2:
        raise ValueError(
            f"{where}.attack: '{options['attack']}' sees one model only: give it a `grid` of `through`, several models"
        )
    for model in options["models"]:
        sheets.scored_store({"model": model, "dataset": options["dataset"]})  # raises for one without answers
        for attack in grid:
            sheets.through(model, sheets.attacks[attack]["through"], f"configuration: attack.attacks.{attack}")


def _told(sheets: Cells, options: Options) -> Options:
    """Labels of the models, and the model that each attack sees, with its label."""
    seen = {attack: sheets.attacks[attack]["through"] for attack in sheets.attack_grid(options["attack"])}
    words = {SELF: "the model itself", BASE: "its base"}
    labels = {name: words.get(name) or sheets.models[name]["label"] for name in seen.values()}
    return {"labels": {name: sheets.models[name]["label"] for name in options["models"]}, "seen": seen, "words": labels}


FIGURES = {
    "surrogates": Figure(
        "who fools whom: attacks through other models",
        cells_of_entry,
        _check,
        made_from=(ATTACK,),
        table=Table(
            "surrogates",
            "Accuracy of models on images that were attacked through each of several models; lo and hi are the 95 % "
            "Wilson interval.",
            keys("dataset", "split", "model", "attack", "norm", "eps", "measure")
            | {"through": Column(STR, "model that the attack saw: its name, `self` or `base`")}
            | SHARES
            | LABEL
            | {"label_through": Column(STR, "words for `through`")},
        ),
        rows="accuracy.surrogates",
        draw="surrogates",
        told=_told,
    )
}
