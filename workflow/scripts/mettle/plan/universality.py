"""Figures 1 to 6 and 13 to 15, of the universality study (Klabunde et al. 2025, arXiv:2510.19427)."""

from collections.abc import Callable, Iterator
from functools import partial
from math import isclose
from typing import TYPE_CHECKING

from mettle.plan.figure import Figure, Options, check_models
from mettle.plan.limits import check_measure
from mettle.units import eps_text

if TYPE_CHECKING:
    from mettle.plan.plan import Plan


def shown(plan: "Plan", options: Options) -> list[tuple[str, str]]:
    """Data set and name of the models that a figure of pairs shows: those with a listed eps and its threat.

    A model is shown on its own data set, and on one that names its own as `parent` where the figure lists it.
    """

    threats = ("none", options["threat"])

    def fits(name: str, dataset: str) -> bool:
        row = plan.models[name]
        return plan.fits(name, dataset) and row["eps"] in options["eps"] and row["threat"] in threats

    chosen = plan.sets[options["set"]].models
    return [(dataset, name) for dataset in _datasets(options) for name in chosen if fits(name, dataset)]


def _datasets(options: Options) -> list[str]:
    return options.get("datasets") or [options["dataset"]]


def _paired(plan: "Plan", options: Options) -> Iterator[tuple[str, str]]:
    """Data set and name of the shown models that have another one before them in the set of the figure."""
    return ((dataset, name) for dataset, name in shown(plan, options) if plan.above(name, options["set"], dataset))


def _compared(images: str) -> Callable[["Plan", Options], list[str]]:
    def cells(plan: "Plan", options: Options) -> list[str]:
        return [
            f"{plan.results}/compare/{dataset}/{options['set']}/{images}/{measure}/{name}.parquet"
            for measure in options["measures"]
            for dataset, name in _paired(plan, options)
        ]

    return cells


def _agreeing(images: str) -> Callable[["Plan", Options], list[str]]:
    def cells(plan: "Plan", options: Options) -> list[str]:
        return [
            f"{plan.results}/agree/{dataset}/{options['set']}/{images}/{name}.parquet"
            for dataset, name in _paired(plan, options)
        ]

    return cells


def _answers(images: str) -> Callable[["Plan", Options], list[str]]:
    """Representations that ambiguity is counted on, of every shown model on the image sets of its group."""

    def beside(plan: "Plan", options: Options) -> list[str]:
        same = {"set": options["set"], "images": images}
        cells = [same | {"dataset": dataset, "model": name} for dataset, name in _paired(plan, options)]
        return list(dict.fromkeys(path for cell in cells for path in plan.represented(cell)))

    return beside


def _fig1_cells(plan: "Plan", options: Options) -> list[str]:
    return [f"{plan.results}/pairs/{options['dataset']}.parquet"]


def _fig1_beside(plan: "Plan", options: Options) -> list[str]:
    inverted = [f"{plan.results}/invert/{options['dataset']}/{model}.lmdb" for model in options["models"]]
    return [plan.store(options["dataset"], "test")[0], *inverted]


def _fig1_told(plan: "Plan", options: Options) -> Options:
    return {"rows": {model: plan.keys_of(model) for model in options["models"]}}


def _fig5_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"{plan.results}/subgroups/{dataset}/{options['set']}/natural/{options['groups']}/{measure}/{name}.parquet"
        for measure in options["measures"]
        for dataset, name in _paired(plan, options)
    ]


def _fig6_cells(plan: "Plan", options: Options) -> list[str]:
    return [
        f"{plan.results}/probe_agree/{dataset}/{options['set']}/{name}.parquet"
        for dataset, name in _paired(plan, options)
    ]


def _of_pairs(plan: "Plan", options: Options) -> Options:
    """What every table of pairs is told: the models, and the number of neighbours of each measure that has one."""
    neighbours = {name: plan.measures[name].get("k") for name in options.get("measures", [])}
    return {"models": list(dict.fromkeys(name for _, name in shown(plan, options))), "k": neighbours}


def _check_pairs(plan: "Plan", options: Options, where: str, images: str = "natural") -> None:
    datasets = _datasets(options)
    for dataset in datasets:
        plan.known(dataset, plan.datasets, "data set", f"{where}.{'datasets' if 'datasets' in options else 'dataset'}")
    for measure in options.get("measures", []):
        plan.known(measure, plan.measures, "measure", f"{where}.measures")
        check_measure(plan, measure, images, f"{where}.measures")
    if isinstance(options["models"], str):
        plan.known_set(options["models"], f"{where}.models")
    elif options["models"]:
        _check_members(plan, options["models"], datasets, f"{where}.models")
    groups = [(dataset, plan.group(name)) for dataset, name in shown(plan, options)]
    pairs = [group for group in groups if groups.count(group) > 1]
    for eps in options["eps"]:
        if not any(group[-1] == eps for _, group in pairs):
            raise ValueError(f"{where}.eps: {_no_pairs(plan, options, eps)}")
    for dataset in datasets:
        if not any(found == dataset for found, _ in pairs):
            raise ValueError(f"{where}: no two models of '{dataset}' have one of the eps in common")


def _check_members(plan: "Plan", models: list[str], datasets: list[str], where: str) -> None:
    for model in models:
        plan.known(model, plan.models, "model", where)
        if not any(plan.fits(model, dataset) for dataset in datasets):
            raise ValueError(f"{where}: '{model}' is not a model of '{_or(datasets)}'")


def _no_pairs(plan: "Plan", options: Options, eps: float) -> str:
    """Why there are no two models of an eps to compare; which there are, if their threat or last digits differ."""
    threat, datasets = options["threat"] if eps else "none", _datasets(options)
    text = f"{threat} {eps_text(eps)} needs two models of '{_or(datasets)}' or more"
    rows = [row for name, row in plan.models.items() if any(plan.fits(name, dataset) for dataset in datasets)]
    near = {f"{row['threat']} {eps_text(row['eps'])}" for row in rows if isclose(row["eps"], eps, rel_tol=0.01)}
    others = sorted(near - {f"{threat} {eps_text(eps)}"})
    return text + (f"; there are models of {' and '.join(others)}" if others else "")


def _or(datasets: list[str]) -> str:
    return "' or '".join(datasets)


def _check_by_k(plan: "Plan", options: Options, where: str, images: str = "natural") -> None:
    _check_pairs(plan, options, where, images)
    for measure in options["measures"]:
        if "k" not in plan.measures[measure]:
            raise ValueError(f"{where}.measures: '{measure}' has no number of neighbours k")


def _inverted(check: Callable) -> Callable[["Plan", Options, str], None]:
    return partial(check, images="inverted")


_PAIRS = {"told": _of_pairs, "draws": True, "pairs": True}  # of every table of pairs

UNIVERSALITY = {
    "fig1": Figure("inverted images", _fig1_cells, check_models, _fig1_beside, _fig1_told),
    "fig2": Figure("similarity on natural images", _compared("natural"), _check_pairs, **_PAIRS),
    "fig3": Figure("similarity on inverted images", _compared("inverted"), _inverted(_check_pairs), **_PAIRS),
    "fig4": Figure("agreement on natural images", _agreeing("natural"), _check_pairs, _answers("natural"), **_PAIRS),
    "fig5": Figure("similarity on agreeing and disagreeing images", _fig5_cells, _check_pairs, **_PAIRS),
    "fig6": Figure("agreement of probes", _fig6_cells, _check_pairs, **_PAIRS),
    "fig13": Figure(
        "agreement on inverted images", _agreeing("inverted"), _check_pairs, _answers("inverted"), **_PAIRS
    ),
    "fig14": Figure("Jaccard by neighbours, natural images", _compared("natural"), _check_by_k, **_PAIRS),
    "fig15": Figure("Jaccard by neighbours, inverted images", _compared("inverted"), _inverted(_check_by_k), **_PAIRS),
}
