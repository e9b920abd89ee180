"""The figures of frozen networks downstream: heads of several tasks, clean, under attack and under corruptions."""

from mettle.plan import given
from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options, check_entry
from mettle.plan.figures.robustness import OF_TRANSFER
from mettle.plan.hardened import BASE, SELF
from mettle.tables import ATTACKED, RESULT, ROBUSTNESS, Table, keys
from mettle.tables.columns import INT, STR, Column


def _attacks(sheets: Cells, options: Options, model: str) -> list[str]:
    """Attacks of a model: where it is without tokens itself, an attack through its base is one through itself."""
    grid = sheets.attack_grid(options["attack"])
    alone = sheets.without_tokens(model, "") == model
    return [name for name in grid if not (alone and sheets.attacks[name]["through"] == BASE)]


def _cells(sheets: Cells, options: Options) -> list[str]:
    return [
        f"{sheets.results}/attack/{sheets.models[model]['dataset']}/{model}/{attack}.parquet"
        for model in options["models"]
        for attack in _attacks(sheets, options, model)
    ]


def _check(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for unknown names, models that cannot be attacked so, or an attack that is not adaptive."""
    datasets = dict.fromkeys(sheets.models[model]["dataset"] for model in options["models"])
    check_entry(sheets, options["attack"], datasets, f"{where}.attack")
    grid = sheets.attack_grid(options["attack"])
    if SELF not in {sheets.attacks[attack]["through"] for attack in grid}:
        raise ValueError(
            f"{where}.attack: '{options['attack']}' never goes through the model itself, and tokens that are only "
            "unknown are no defence: give it a `grid` of `through: [base, self]`"
        )
    for model in options["models"]:
        for attack in _attacks(sheets, options, model):
            sheets.check_attackable(model, attack)
            sheets.through(model, sheets.attacks[attack]["through"], f"configuration: attack.attacks.{attack}")


def _told(sheets: Cells, options: Options) -> Options:
    """Label, task and number of tokens of every model, and the model that each attack sees."""
    seen = {attack: sheets.attacks[attack]["through"] for attack in sheets.attack_grid(options["attack"])}
    return {"rows": {model: _about(sheets, model) for model in options["models"]}, "seen": seen}


def _about(sheets: Cells, model: str) -> Options:
    below = sheets.models[model]["base"] if sheets.has_head(model) else model
    n = sheets.recipe_of(below)["n"] if sheets.has_tokens(below) else 0
    trained = sheets.models[model]["source"] == "train"
    head = "own" if trained else "stock" if given.is_made(sheets.models[model]["source"]) else "published"
    network = sheets.models[sheets.foundation(model)]["label"]
    about = {"label": sheets.models[model]["label"], "task": sheets.task_of(model), "network": network}
    return about | {"n_tokens": n, "head": head}


def _corrupted(sheets: Cells, options: Options) -> list[str]:
    return [
        sheets.robustness(sheets.models[model]["dataset"], model, options["corruptions"]) for model in options["models"]
    ]


def _check_corrupted(sheets: Cells, options: Options, where: str) -> None:
    """Raise ValueError for an unknown set of corruptions, or models without scores."""
    sheets.known_corruptions(options["corruptions"], f"{where}.corruptions")
    for model in options["models"]:
        if not sheets.scores(model, sheets.models[model]["dataset"]):
            raise ValueError(f"{where}.models: '{model}' has no head, so it has no answers that can be scored")


def _told_corrupted(sheets: Cells, options: Options) -> Options:
    """What `transfer` is told of its models, with tokens and head of each in place of a backbone."""
    rows = {model: _about(sheets, model) for model in options["models"]}
    several = len({about["network"] for about in rows.values()}) > 1
    found = {}
    for model, about in rows.items():
        series = series_of(about["n_tokens"], about["head"])
        backbone = f"{about['network']}: {series}" if several else series
        found[model] = {"label": about["label"], "mode": "fixed", "backbone": backbone}
    return {"rows": found, "detection": "box_ap"}


def series_of(n_tokens: int, head: str) -> str:
    """A model in words, whatever its network: number of robustness tokens, and where its head is from."""
    tokens = "no tokens" if not n_tokens else "1 token" if n_tokens == 1 else f"{n_tokens} tokens"
    return tokens if not n_tokens and head == "own" else f"{tokens}, {head} head"


FIGURES = {
    "tokens_corruptions": Figure(
        "heads on frozen networks, clean and under corruptions",
        _corrupted,
        _check_corrupted,
        made_from=(ROBUSTNESS,),
        table=Table(
            "tokens_corruptions",
            "Quality of heads on frozen networks, with robustness tokens or without, in the terms of `transfer`; "
            "`backbone` is the number of tokens, and where the head is from.",
            OF_TRANSFER,
        ),
        rows="robustness.transfer",
        draw="transfer",
        told=_told_corrupted,
    ),
    "tokens_downstream": Figure(
        "heads on frozen networks, clean and under attack",
        _cells,
        _check,
        made_from=tuple(ATTACKED.values()),
        table=Table(
            "tokens_downstream",
            "Scores of heads on frozen networks, with robustness tokens or without: of clean images, where attack is "
            "`clean`, and of attacked ones. lo and hi are a 95 % bootstrap interval over images, the same images for "
            "all models of a task.",
            keys("dataset", "split", "model", "task", "attack", "norm", "eps", "measure")
            | RESULT
            | {
                "through": Column(
                    STR, "model that the attack saw: its name, `self` or `base`; null for clean images", nullable=True
                )
            }
            | LABEL
            | {
                "network": Column(STR, "label of the row of the network"),
                "n_tokens": Column(INT, "number of robustness tokens"),
                "head": Column(STR, "own: trained on this network; stock: of another row; published"),
            },
        ),
        rows="tokens.downstream",
        draw="tokens_downstream",
        told=_told,
        draws=True,
    ),
}
