"""Figures of robustness tokens: their training, and features under attack."""

from dataclasses import replace

from mettle import files
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options, check_models, labels
from mettle.tables import ACTIVATIONS, DRIFT, RESULT, SURFACE, TOKENS_STEPS, Table, keys
from mettle.tables.columns import INT, STR, Column

# Training


def _steps(sheets: Cells, options: Options) -> list[str]:
    return [f"results/train/{model}/steps.parquet" for model in options["models"]]


def _check_steps(sheets: Cells, options: Options, where: str) -> None:
    for model in options["models"]:
        if model not in sheets.hardened:
            raise ValueError(f"{where}.models: '{model}' is no row of robustness tokens that are trained here")


def _numbers(sheets: Cells, options: Options) -> list[str]:
    return [str(files.locate(options["numbers"]))] if options["numbers"] else []


# Features


def _cells(sheets: Cells, options: Options) -> list[str]:
    """Cells of every model under every attack, those of the networks without tokens among them."""
    found = [*dict.fromkeys(sheets.foundation(model) for model in options["models"]), *options["models"]]
    return [
        f"{sheets.results}/drift/{options['dataset']}/{model}/{attack}.parquet"
        for model in dict.fromkeys(found)
        for attack in options["attacks"]
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, and models that cannot be evaluated on the data set."""
    sheets.known(options["dataset"], sheets.datasets, "data set", f"{where}.dataset")
    for attack in options["attacks"]:
        sheets.known(attack, sheets.drifts, "attack on features", f"{where}.attacks")
    for model in options["models"]:
        sheets.known(model, sheets.models, "model", f"{where}.models")
        if not sheets.fits(model, options["dataset"]):
            raise ValueError(f"{where}.models: '{model}' is not a model of '{options['dataset']}'")


def _rows(sheets: Cells, options: Options) -> Options:
    """Label, number of tokens and foundation of every model."""
    asked = dict.fromkeys([*options["models"], *(sheets.foundation(model) for model in options["models"])])
    return {"rows": {model: _about(sheets, model) for model in asked}}


def _about(sheets: Cells, model: str) -> Options:
    recipe = sheets.recipe_of(model) if sheets.has_tokens(model) else {}
    trained = {"n_tokens": recipe.get("n", 0), "steps": recipe.get("steps", 0)}
    return {"label": sheets.models[model]["label"], "base": sheets.foundation(model)} | trained


# Activations


def _activations(sheets: Cells, options: Options) -> list[str]:
    folder = f"{sheets.results}/activations/{options['dataset']}"
    return [f"{folder}/{model}/{options['attack']}.parquet" for model in options["models"]]


def _surfaces(sheets: Cells, options: Options) -> list[str]:
    if options["surface"] is None:
        return []
    return [path.replace(".parquet", ".surface.parquet") for path in _activations(sheets, options)]


def _check_activations(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, and models that are not of the data set, or of a dense task."""
    check_models(sheets, options, where)
    sheets.known(options["attack"], sheets.drifts, "attack on features", f"{where}.attack")
    for model in options["models"]:
        sheets.attacked_through({"model": model, "drift": options["attack"]})


_TOKENS = LABEL | {"n_tokens": Column(INT, "number of robustness tokens")}

FIGURES = {
    "tokens_training": Figure(
        "training of robustness tokens",
        _steps,
        _check_steps,
        made_from=(TOKENS_STEPS,),
        table=Table(
            "tokens_training",
            "Similarities by update of a training of robustness tokens, as in `tokens_steps`; `objective` is the sum "
            "of `invariance` and `adversarial`, at most 2. No interval.",
            keys("model", "measure")
            | {"step": Column(INT, "update, from 0")}
            | RESULT
            | {"source": Column(STR, "source of a published number; null for ours", nullable=True)}
            | _TOKENS,
        ),
        rows="tokens.training",
        draw="tokens_training",
        beside=_numbers,
        told=_rows,
    ),
    "tokens_features": Figure(
        "features under attack, with and without tokens",
        _cells,
        _check,
        made_from=(DRIFT,),
        table=Table(
            "tokens_features",
            "How alike features are, mean over images: `base` to those of the clean image without tokens, `own` to "
            "those of the clean image by the same model, both under attack; `clean` without attack; `gain` is `base` "
            "less the same of the network without tokens, image by image. Cosines over channels but for those of "
            "measure `*_tokens` and `*_class_token`. lo and hi are a 95 % bootstrap interval over images.",
            keys("dataset", "split", "model", "attack", "norm", "eps", "measure")
            | RESULT
            | {"through": DRIFT.columns["through"]}
            | _TOKENS
            | {"trained": Column(INT, "updates that the tokens were trained for")},
        ),
        rows="tokens.features",
        draw="tokens_features",
        told=_rows,
        draws=True,
    ),
    "tokens_activations": Figure(
        "massive activations, with and without robustness tokens",
        _activations,
        _check_activations,
        made_from=(ACTIVATIONS,),
        table=Table(
            "tokens_activations",
            "Largest absolute activation of class token and patch tokens by layer, measure `largest`: mean over "
            "images, lo and hi are a 95 % bootstrap interval over images. Rows of measure `surface`, where asked for, "
            "are of one image: a row per token has the activations of its channels, each the largest of neighbours "
            "where there are more than a drawing can show.",
            keys("dataset", "split", "model", "layer", "attack", "norm", "eps", "measure")
            | RESULT
            | {"through": ACTIVATIONS.columns["through"]}
            | LABEL
            | {
                "token": Column(INT, "place of the token, from 0; null for means", nullable=True),
                "activations": replace(SURFACE.columns["activations"], ragged=True, nullable=True),
            },
        ),
        rows="tokens.activations",
        draw="tokens_activations",
        beside=_surfaces,
        told=labels,
        draws=True,
    ),
}
