"""The figure of layers: how alike each layer of a network is to each layer of the same or another one."""

from collections.abc import Iterator

from mettle.plan import engines, layers
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options, check_models
from mettle.plan.limits import check_measure
from mettle.tables import LAYER_SIMILARITY, Table
from mettle.tables.columns import STR, Column


def _pairs(options: Options) -> Iterator[tuple[str, str, str]]:
    """Data set, model and model of each comparison; one model is compared with itself."""
    for comparison in options["comparisons"]:
        first, *_, second = [*comparison["models"], comparison["models"][-1]]
        yield comparison["dataset"], first, second


def _cells(sheets: Cells, options: Options) -> list[str]:
    folder = f"{sheets.results}/compare_layers"
    return [
        f"{folder}/{dataset}/{options['measure']}/{model}/{other}.parquet"
        for dataset, model, other in dict.fromkeys(_pairs(options))
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, models that are not of a data set, or a measure that cannot be."""
    sheets.known(options["measure"], sheets.measures, "measure", f"{where}.measure")
    check_measure(sheets, options["measure"], "natural", f"{where}.measure")
    if options["measure"] in engines.on_gpu(sheets.measures):
        raise ValueError(f"{where}.measure: '{options['measure']}' computes on a GPU, layers are compared without one")
    layers.check(sheets.config, sheets.models)
    for number, comparison in enumerate(options["comparisons"]):
        here = f"{where}.comparisons.{number}"
        for model in comparison["models"]:
            sheets.known(model, sheets.models, "model", f"{here}.models")
            sheets.known_plain(model)
        check_models(sheets, comparison, here)


def _told(sheets: Cells, options: Options) -> Options:
    """Labels of the models."""
    named = {name for pair in _pairs(options) for name in pair[1:]}
    return {"labels": {name: sheets.models[name]["label"] for name in sorted(named)}}


FIGURES = {
    "layers": Figure(
        "similarity of layers",
        _cells,
        _check,
        made_from=(LAYER_SIMILARITY,),
        table=Table(
            "layers",
            f"{LAYER_SIMILARITY.text} Layers are in the order in which they run.",
            LAYER_SIMILARITY.columns | LABEL | {"label_b": Column(STR, "words for `model_b`")},
        ),
        rows="layers.layers",
        draw="layers",
        told=_told,
    )
}
