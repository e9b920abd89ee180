"""Summary tables of accuracy, clean and attacked, beside what was published."""

import itertools

from mettle import files
from mettle.plan.attacks import is_own
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import Figure, Options, check_entry
from mettle.tables import ATTACK, RESULT, Table, keys
from mettle.tables.columns import FLOAT, STR, Column

_CLEAN = {"clean": Column(FLOAT, "clean accuracy on the same n images; null in clean rows", "fraction", nullable=True)}
SHARES = {name: RESULT[name] for name in ("n", "value", "lo", "hi")} | _CLEAN | {"note": RESULT["note"]}


def _accuracy_cells(sheets: Cells, options: Options) -> list[str]:
    cells = (sheets.attack_cells(one["datasets"], one["attacks"]) for one in options["evaluations"])
    return list(dict.fromkeys(itertools.chain.from_iterable(cells)))


def _check_accuracy(sheets: Cells, options: Options, where: str) -> None:
    for number, one in enumerate(options["evaluations"]):
        for dataset in one["datasets"]:
            sheets.known(dataset, sheets.datasets, "data set", f"{where}.evaluations.{number}.datasets")
            models = [model for model in sheets.models if sheets.fits(model, dataset)]
            if models and not any(sheets.scores(model, dataset) for model in models):
                sheets.scored_store({"model": models[0], "dataset": dataset})  # raises with the reason
        for attack in one["attacks"]:
            check_entry(sheets, attack, one["datasets"], f"{where}.evaluations.{number}.attacks")


def published_cells(sheets: Cells, options: Options) -> list[str]:
    """Attack cells of the models that have published accuracies, under the attack of their norm and eps."""
    cells, models = [], _by_published_name(sheets)
    rows = [row for row in sheets.published_numbers(options["numbers"]) if "autoattack" in row]
    for row, attack in itertools.product(rows, sheets.attack_grid(options["attack"])):
        for model in models.get(row["model"], ()):
            found = sheets.attack({"attack": attack, "model": model})
            if (found["norm"], found["eps"]) == (row["norm"], row["eps"]):
                cells.append(f"{sheets.results}/attack/{row['images']}/{model}/{attack}.parquet")
    return cells


def _by_published_name(sheets: Cells) -> dict[str, list[str]]:
    """Models by the name under which sheets of published numbers have them."""
    found: dict[str, list[str]] = {}
    for model in sheets.models:
        found.setdefault(sheets.published_as(model), []).append(model)
    return found


def _published_names(sheets: Cells, options: Options) -> Options:
    """The names under which sheets of published numbers have models, where these are not their own."""
    names = {model: sheets.published_as(model) for model in sheets.models if sheets.published_as(model) != model}
    return {"published_as": names} if names else {}


def _check_published(sheets: Cells, options: Options, where: str) -> None:
    images = dict.fromkeys(row["images"] for row in sheets.published_numbers(options["numbers"]))
    check_entry(sheets, options["attack"], [name for name in images if name in sheets.datasets], f"{where}.attack")
    if not published_cells(sheets, options):
        raise ValueError(f"{where}: no model of {options['numbers']} is in the sheets with an attack of its eps")


def _in_own_ball(sheets: Cells, options: Options, datasets: list[str]) -> list[tuple[str, str]]:
    """Data set and name of the models that are shown: those with a listed eps and the threat."""
    threats = ("none", options["threat"])
    rows = {name: sheets.models[name] for name in sheets.sets[options["set"]].models}
    fit = [name for name, row in rows.items() if row["eps"] in options["eps"] and row["threat"] in threats]
    return [(dataset, name) for dataset in datasets for name in fit if sheets.scores(name, dataset)]


def _own_cells(sheets: Cells, options: Options) -> list[str]:
    """Cells of models under attacks in their own ball; of a model without one the first, with its clean answers."""
    cells = []
    for one in options["evaluations"]:
        attacks = [attack for entry in one["attacks"] for attack in sheets.attack_grid(entry)]
        for dataset, name in _in_own_ball(sheets, options, one["datasets"]):
            for attack in attacks if sheets.models[name]["eps"] else attacks[:1]:
                cells.append(f"{sheets.results}/attack/{dataset}/{name}/{attack}.parquet")
    return list(dict.fromkeys(cells))


def _check_own(sheets: Cells, options: Options, where: str) -> None:
    _check_accuracy(sheets, options, where)
    for number, one in enumerate(options["evaluations"]):
        place = f"{where}.evaluations.{number}"
        for entry in one["attacks"]:
            if not all(is_own(sheets.attacks[attack]) for attack in sheets.attack_grid(entry)):
                raise ValueError(f"{place}.attacks: '{entry}' has an eps: name an attack with `norm: own, eps: own`")
        if not _in_own_ball(sheets, options, one["datasets"]):
            datasets = "' or '".join(one["datasets"])
            raise ValueError(f"{place}: no model of '{datasets}' has one of the eps in {options['threat']}")


def _numbers(sheets: Cells, options: Options) -> list[str]:
    return [str(files.locate(options["numbers"]))]


_OVER = "attacks that the row `worst_case` is over: those in its norm at its eps or a smaller one; null in other rows"
_ACCURACY = keys("dataset", "split", "model", "attack", "norm", "eps", "measure") | SHARES
_ACCURACY |= {"over": Column(STR, _OVER, nullable=True)}

FIGURES = {
    "accuracy": Figure(
        "clean and attacked accuracy",
        _accuracy_cells,
        _check_accuracy,
        made_from=(ATTACK,),
        table=Table(
            "accuracy",
            "Clean and attacked accuracy, clean once per model and set of images, then in the worst case (attack "
            "worst_case), per norm and eps: the share of images that no attack has fooled the model on by a change of "
            "at most this eps; lo and hi are the 95 % Wilson interval.",
            _ACCURACY,
        ),
        rows="accuracy.accuracy",
    ),
    "universality_accuracy": Figure(
        "clean accuracy, and accuracy at the eps of training",
        _own_cells,
        _check_own,
        made_from=(ATTACK,),
        table=Table(
            "universality_accuracy",
            "Clean accuracy beside what was published, and accuracy in the ball of each model's own training attack "
            "(norm, eps), by each attack and by all of them, `worst_case`; lo and hi are the 95 % Wilson interval.",
            _ACCURACY
            | {
                "published": Column(FLOAT, "published clean accuracy", "fraction", nullable=True),
                "difference": Column(FLOAT, "measured less published", "fraction", nullable=True),
                "source": Column(STR, "source of the published number", nullable=True),
            },
        ),
        rows="accuracy.own",
        beside=_numbers,
        told=_published_names,
    ),
    "published": Figure(
        "measured beside published accuracy",
        published_cells,
        _check_published,
        made_from=(ATTACK,),
        table=Table(
            "published",
            "Measured beside published accuracy; value is measured, lo and hi its 95 % Wilson interval.",
            keys("dataset", "model", "attack", "norm", "eps", "measure")
            | RESULT
            | {
                "published": Column(FLOAT, "published accuracy", "fraction"),
                "difference": Column(FLOAT, "measured less published", "fraction"),
                "source": Column(STR, "source of the published number"),
            },
        ),
        rows="accuracy.compared",
        beside=_numbers,
        told=_published_names,
    ),
}
