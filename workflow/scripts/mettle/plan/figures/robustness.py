"""Figures of robustness to corruptions, and of its transfer to other tasks."""

from collections.abc import Callable
from dataclasses import replace

from mettle import files
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options
from mettle.tables import EXAMPLES, RESULT, ROBUSTNESS, Table, keys
from mettle.tables.columns import STR, Column

# Of sheets and options, data set and model of what a figure shows.
Chosen = Callable[[Cells, Options], list[tuple[str, str]]]

# Images under every corruption


def _examples(sheets: Cells, options: Options) -> list[str]:
    return [sheets.examples(options["dataset"], options["corruptions"])]


def _check_examples(sheets: Cells, options: Options, where: str) -> None:
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    sheets.known_corruptions(options["corruptions"], f"{where}.corruptions")
    sheets.store(options["dataset"], "test")  # raises if there is none


# Scores


def _scored(sheets: Cells, options: Options) -> list[tuple[str, str]]:
    """Data set and model of what a table shows: the models that it names, or all listed ones."""
    asked = sheets.listed if options["models"] is None else options["models"]
    return [(dataset, model) for dataset in options["datasets"] for model in asked if sheets.scores(model, dataset)]


def _transferred(sheets: Cells, options: Options) -> list[tuple[str, str]]:
    """The same of the models that stand on another one, in the modes of transfer that a figure shows."""
    rows = options["models"]
    if rows is None:
        rows = [name for name, row in sheets.models.items() if row.get("transfer") and "sweep" not in row]
    rows = [model for model in rows if sheets.models[model].get("transfer") in options["modes"]]
    return _scored(sheets, options | {"models": rows})


def _cells(of: Chosen) -> Callable[[Cells, Options], list[str]]:
    def cells(sheets: Cells, options: Options) -> list[str]:
        """Scores of the models of a figure."""
        found = of(sheets, options)
        return [sheets.robustness(dataset, model, options["corruptions"]) for dataset, model in found]

    return cells


def _check(of: Chosen) -> Callable[[Cells, Options, str], None]:
    def check(sheets: Cells, options: Options, where: str) -> None:
        """Raise ValueError for unknown names, or a figure without a model."""
        sheets.known_corruptions(options["corruptions"], f"{where}.corruptions")
        for dataset in options["datasets"]:
            sheets.known(dataset, sheets.datasets, "data set", f"{where}.datasets")
        if not of(sheets, options):
            modes = f" by {', '.join(options['modes'])}" if "modes" in options else ""
            raise ValueError(
                f"{where}: the sheets have no model{modes} that can be scored on {', '.join(options['datasets'])}"
            )
        if options.get("detection") == "mask_ap":
            _check_masks(sheets, [model for _, model in of(sheets, options)], where)

    return check


def _check_masks(sheets: Cells, models: list[str], where: str) -> None:
    """Raise ValueError for a detector that predicts no masks."""
    for model in models:
        if sheets.task_of(model) == "detection" and not sheets.recipe({"model": model})["mask_rcnn"]["masks"]:
            raise ValueError(
                f"{where}.detection is mask_ap, but '{model}' predicts no masks: set mask_rcnn.masks of recipe "
                f"'{sheets.models[model]['recipe']}' to true, or name only models with masks in its `models`"
            )


def _told(of: Chosen) -> Callable[[Cells, Options], Options]:
    def told(sheets: Cells, options: Options) -> Options:
        """Label, mode of transfer and backbone of every model."""
        return {"rows": {model: _about(sheets, model) for _, model in of(sheets, options)}}

    return told


def _about(sheets: Cells, model: str) -> dict[str, str]:
    row = sheets.models[model]
    base = sheets.models[row["base"]]["label"] if row.get("base") else None
    return {"label": row["label"], "mode": row.get("transfer") or None, "backbone": base}


_MODEL = LABEL | {"backbone": Column(STR, "label of the model that it stands on", nullable=True)}
_MODE = {"mode": Column(STR, "mode of transfer", nullable=True)}
OF_TRANSFER = keys("dataset", "split", "model", "task") | _MODE | ROBUSTNESS.columns | _MODEL


def _figure(shows: str, name: str, text: str, rows: str, draw: str) -> Figure:
    return Figure(
        shows,
        _cells(_transferred),
        _check(_transferred),
        made_from=(ROBUSTNESS,),
        table=Table(name, text, OF_TRANSFER),
        rows=rows,
        draw=draw,
        told=_told(_transferred),
    )


FIGURES = {
    "corruptions": Figure(
        "images under every corruption",
        _examples,
        _check_examples,
        made_from=(EXAMPLES,),
        table=Table("corruptions", "Images of the figure `corruptions`, as in `examples`.", EXAMPLES.columns),
        rows="robustness.examples",
        draw="corruptions",
    ),
    "robustness": Figure(
        "scores under corruptions",
        _cells(_scored),
        _check(_scored),
        made_from=(ROBUSTNESS,),
        table=Table(
            "robustness",
            "Scores of models under corruptions, beside published ones (see `source`), as in `robustness_scores`.",
            OF_TRANSFER
            | {"n": replace(RESULT["n"], nullable=True)}
            | {"source": Column(STR, "source of a published number; null for ours", nullable=True)},
        ),
        rows="robustness.scores",
        beside=lambda sheets, options: [str(files.locate(options["numbers"]))],
        told=_told(_scored),
    ),
    "transfer": _figure(
        "clean and corrupted quality after transfer",
        "transfer",
        "Quality of models that stand on others, clean and under corruptions, as in `robustness_scores`: the first "
        "score of each task of which more is better, of detectors `detection` of the figure, its means (`mpc`) and "
        "their ratios to the clean score (`rpc`).",
        "robustness.transfer",
        "transfer",
    ),
    "prime": _figure(
        "with and without PRIME during transfer",
        "prime",
        "Quality of models that were transferred with and without PRIME, in the terms of `transfer`.",
        "robustness.transfer",
        "prime",
    ),
}
