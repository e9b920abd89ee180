"""Figures across the studies: how properties of models go together."""

from dataclasses import replace

from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options, check_entry
from mettle.tables import ATTACK, COMPARE, DRIFT, RESULT, ROBUSTNESS, Table, keys
from mettle.tables.columns import STR, Column


def _models(sheets: Cells, options: Options) -> list[str]:
    """Models of a figure that can be scored on its data set."""
    named = sheets.listed if options["models"] is None else options["models"]
    return [model for model in named if sheets.scores(model, options["dataset"])]


def _transferred(sheets: Cells, options: Options) -> list[tuple[str, str]]:
    """Data set and name of the models that stand on those of a figure, on the data sets that it transfers to."""
    bases = _models(sheets, options)
    return [
        (row["dataset"], name)
        for name, row in sheets.models.items()
        if row.get("base") in bases and row.get("transfer") and row["dataset"] in options.get("transfer", [])
    ]


def _cells(sheets: Cells, options: Options) -> list[str]:
    """Attacks and corruptions of each model, then pairs, drift and transfer where the figure has them."""
    dataset, models = options["dataset"], _models(sheets, options)
    found = [
        f"{sheets.results}/attack/{dataset}/{model}/{attack}.parquet"
        for model in models
        for attack in sheets.attack_grid(options["attack"])
    ]
    if name := options["corruptions"]:
        found += [sheets.robustness(dataset, model, name) for model in models]
        found += [sheets.robustness(*one, name) for one in _transferred(sheets, options)]
    if name := options.get("drift"):
        found += [f"{sheets.results}/drift/{dataset}/{model}/{name}.parquet" for model in models]
    return found + _pairs(sheets, options, models)


def _pairs(sheets: Cells, options: Options, models: list[str]) -> list[str]:
    """Cells of pairs, of the models that have another one above them in the set."""
    name = options.get("set", "group")
    compared = [model for model in models if sheets.above(model, name, options["dataset"])]
    return [
        f"{sheets.results}/compare/{options['dataset']}/{name}/{images}/{measure}/{model}.parquet"
        for images in options.get("images", [])
        for measure in options.get("measures", [])
        for model in compared
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, an attack with a grid, or fewer models than have an order."""
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    check_entry(sheets, options["attack"], [options["dataset"]], f"{where}.attack")
    if len(grid := sheets.attack_grid(options["attack"])) > 1:
        raise ValueError(f"{where}.attack: '{options['attack']}' has a grid: name one of its cells, {', '.join(grid)}")
    if options["corruptions"]:
        sheets.known_corruptions(options["corruptions"], f"{where}.corruptions")
    for measure in options.get("measures", []):
        sheets.known(measure, sheets.measures, "measure", f"{where}.measures")
    for dataset in options.get("transfer", []):
        sheets.known(dataset, sheets.datasets, "data set", f"{where}.transfer")
    if options.get("transfer") and not options["corruptions"]:
        raise ValueError(f"{where}.transfer needs `corruptions`: scores of transferred models are among those")
    if options.get("drift"):
        sheets.known(options["drift"], sheets.drifts, "attack on features", f"{where}.drift")
    if len(found := _models(sheets, options)) < 3:
        raise ValueError(f"{where}: {len(found)} models can be scored on '{options['dataset']}': name 3 or more")


def _told(sheets: Cells, options: Options) -> Options:
    """Labels and training of the models, and the model that each transferred one stands on."""
    models = _models(sheets, options)
    stand = {name: sheets.models[name] for _, name in _transferred(sheets, options)}
    on = {
        name: {"base": row["base"], "mode": row["transfer"], "dataset": row["dataset"]} for name, row in stand.items()
    }
    labels = {model: sheets.models[model]["label"] for model in models}
    return {"labels": labels, "trained": {model: sheets.keys_of(model) for model in models}, "on": on}


_VALUES = {"label": replace(LABEL["label"], nullable=True)}
_OF_PAIRS = {"measure_b": Column(STR, "the other property of a correlation; null in rows of a model", nullable=True)}

FIGURES = {
    "frontier": Figure(
        "clean against robust accuracy",
        _cells,
        _check,
        made_from=(ATTACK, ROBUSTNESS),
        table=Table(
            "frontier",
            "Clean accuracy, accuracy under an attack, and under corruptions (mPC) of models; norm and eps are those "
            "that a model was trained against. lo and hi are a 95 % interval over images.",
            keys("dataset", "split", "model", "attack", "norm", "eps", "measure") | RESULT | LABEL,
        ),
        rows="cross.frontier",
        draw="frontier",
        told=_told,
    ),
    "profile": Figure(
        "how properties of models go together",
        _cells,
        _check,
        made_from=(ATTACK, ROBUSTNESS, COMPARE, DRIFT),
        table=Table(
            "profile",
            "Properties of models, a row each, then of every two properties (model is `all`) Spearman's rank "
            "correlation over the n models that have both; lo and hi are a 95 % bootstrap interval over models.",
            keys("dataset", "model", "measure") | _OF_PAIRS | RESULT | _VALUES,
        ),
        rows="cross.profile",
        draw="profile",
        told=_told,
        draws=True,
        pairs=True,
    ),
}
