"""The figure of what models of dense tasks make of images, clean and under attack."""

from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options
from mettle.plan.limits import check_attack
from mettle.plan.sheets import PICTURED
from mettle.tables import PICTURES, Table, keys


def _cells(sheets: Cells, options: Options) -> list[str]:
    return [
        f"{sheets.results}/pictures/{sheets.models[model]['dataset']}/{model}/{options['attack']}.parquet"
        for model in options["models"]
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, models without pictures, an attack that is not theirs, or too many images."""
    attack, most = options["attack"], sheets.config["attack"]["pictures"]
    if attack in sheets.config["attack"]["attacks"] and attack not in sheets.attacks:
        raise ValueError(f"{where}.attack: '{attack}' has a grid: name one of {', '.join(sheets.attack_grid(attack))}")
    sheets.known(attack, sheets.attacks, "attack", f"{where}.attack")
    if options["images"] > most:
        raise ValueError(f"{where}.images: {options['images']} of {most} images: raise attack.pictures")
    for model in options["models"]:
        if (task := sheets.task_of(model)) not in PICTURED:
            raise ValueError(f"{where}.models: '{model}' is a model of {task}: pictures are of segmentation and depth")
        check_attack(sheets, attack, sheets.models[model]["dataset"], f"{where}.attack")
        sheets.check_attackable(model, attack)
        sheets.through(model, sheets.attacks[attack]["through"], f"configuration: attack.attacks.{attack}")


def _told(sheets: Cells, options: Options) -> Options:
    """Label and task of every model."""
    rows = {
        model: {"label": sheets.models[model]["label"], "task": sheets.task_of(model)} for model in options["models"]
    }
    return {"rows": rows}


FIGURES = {
    "predictions": Figure(
        "what models of dense tasks make of images, clean and under attack",
        _cells,
        _check,
        made_from=(PICTURES,),
        table=Table(
            "predictions",
            "Images of the figure `predictions`, as in `pictures`.",
            keys("dataset", "split", "model", "task") | PICTURES.columns | LABEL,
        ),
        rows="predictions.rows",
        draw="predictions",
        told=_told,
    )
}
