"""The atlas: how alike any models are, all pairs of them under one measure."""

from dataclasses import replace
from itertools import combinations

from mettle.plan import engines, layers
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options
from mettle.plan.limits import check_measure
from mettle.scales import SCALES, enough_draws
from mettle.tables import COMPARE, KEYS, LAYER_SIMILARITY, Table
from mettle.tables.columns import INT, STR, Column

_LAYER = {
    "layer": replace(KEYS["layer"], nullable=True, text="of `model`, where layers are compared; else null"),
    "layer_b": Column(STR, "of `model_b`", nullable=True),
}
_COLUMNS = COMPARE.columns | _LAYER
_DRAWN = {
    "label_b": Column(STR, "words for `model_b`"),
    "place": Column(INT, "place of `model` in the figure, from 0: models that are alike are next to each other"),
    "place_b": Column(INT, "place of `model_b`"),
    "shows": Column(STR, "column that the figure draws: `value`, distances turned into similarities, or `calibrated`"),
}


def _models(sheets: Cells, options: Options) -> list[str]:
    """The models that are shown, in the order in which each is compared with those before it."""
    return [name for name in sheets.sets[options["set"]].models if sheets.fits(name, options["dataset"])]


def _cells(sheets: Cells, options: Options) -> list[str]:
    models, dataset, measure = _models(sheets, options), options["dataset"], options["measure"]
    if options["layers"] == "best":
        folder = f"{sheets.results}/compare_layers/{dataset}/{measure}"
        return [f"{folder}/{model}/{other}.parquet" for other, model in combinations(models, 2)]
    folder = f"{sheets.results}/compare/{dataset}/{options['set']}/natural/{measure}"
    return [f"{folder}/{model}.parquet" for model in models[1:]]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, models that are not compared with each other, or scores that are not made."""
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    sheets.known(options["measure"], sheets.measures, "measure", f"{where}.measure")
    check_measure(sheets, options["measure"], "natural", f"{where}.measure")
    _check_models(sheets, options, where)
    if options["layers"] == "best":
        _check_layers(sheets, options, where)
    if options["shows"] == "calibrated":
        _check_calibrated(sheets, options, f"{where}.shows")


def _check_calibrated(sheets: Cells, options: Options, where: str) -> None:
    compare, method = sheets.config["compare"], sheets.measures[options["measure"]]["method"]
    if options["layers"] == "best":
        raise ValueError(f"{where}: scores of layers are not calibrated: set `layers: last` or `shows: value`")
    if not SCALES[method].by_image:
        raise ValueError(
            f"{where}: '{method}' scores every order of the images alike, so it is not calibrated: set `shows: value`"
        )
    if not enough_draws(compare["permutations"], compare["level"]):
        raise ValueError(
            f"{where}: calibrated scores need more than compare.permutations {compare['permutations']} for "
            f"compare.level {compare['level']:g}: set `permutations: 200` under `compare`"
        )


def _check_models(sheets: Cells, options: Options, where: str) -> None:
    chosen = sheets.sets[options["set"]]
    models = _models(sheets, options)
    if isinstance(sheets.config["figures"]["atlas"]["models"], list):
        for name in (name for name in chosen.models if name not in models):
            raise ValueError(f"{where}.models: '{name}' is not a model of '{options['dataset']}'")
    if len(models) < 2:
        raise ValueError(f"{where}.models: an atlas needs two models of '{options['dataset']}' or more")
    if not chosen.across and len({sheets.group(name) for name in models}) > 1:
        raise ValueError(
            f"{where}.models: models of '{options['set']}' with different eps are not compared with each other: set "
            "`across: true` there"
        )


def _check_layers(sheets: Cells, options: Options, where: str) -> None:
    if options["measure"] in engines.on_gpu(sheets.measures):
        raise ValueError(f"{where}.measure: '{options['measure']}' computes on a GPU, layers are compared without one")
    layers.check(sheets.config, sheets.models)
    for name in _models(sheets, options):
        sheets.known_plain(name)


def _told(sheets: Cells, options: Options) -> Options:
    """The models, and their labels."""
    models = _models(sheets, options)
    return {"models": models, "labels": {name: sheets.models[name]["label"] for name in models}}


FIGURES = {
    "atlas": Figure(
        "similarity of any models",
        _cells,
        _check,
        made_from=(COMPARE, LAYER_SIMILARITY),
        table=Table(
            "atlas",
            "Similarity of all pairs of some models under one measure, a row per pair, and per order where the measure "
            "is not symmetric. Of layers, the pair of them that is most alike.",
            {name: _COLUMNS[name] for name in KEYS if name in _COLUMNS}
            | {name: column for name, column in _COLUMNS.items() if name not in KEYS}
            | LABEL
            | _DRAWN,
        ),
        rows="atlas.atlas",
        draw="atlas",
        told=_told,
    )
}
