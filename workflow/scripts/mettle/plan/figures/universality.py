"""Figures 1 to 6 and 13 to 15, of the universality study (Klabunde et al. 2025, arXiv:2510.19427)."""

from collections.abc import Callable, Iterator
from functools import partial
from math import isclose

from mettle.plan.cells import Cells
from mettle.plan.figures.figure import LABEL, Figure, Options, check_models, labels
from mettle.plan.limits import check_measure
from mettle.tables import AGREE, COMPARE, PAIRS, PROBE_AGREE, RESULT, SUBGROUPS, Table, keys
from mettle.tables.columns import BINARY, FLOAT, INT, Column
from mettle.units import eps_text

_MEANS = "; rows of model `all` are means over pairs, lo and hi their 95 % bootstrap interval over models."
_BY_K = COMPARE.columns | {"k": Column(INT, "neighbours per image")}


def shown(sheets: Cells, options: Options) -> list[tuple[str, str]]:
    """Data set and name of the models that a figure of pairs shows: those with a listed eps and its threat.

    A model is shown on its own data set, and on one that names its own as `parent` where the figure lists it.
    """

    threats = ("none", options["threat"])

    def fits(name: str, dataset: str) -> bool:
        row = sheets.models[name]
        return sheets.fits(name, dataset) and row["eps"] in options["eps"] and row["threat"] in threats

    chosen = sheets.sets[options["set"]].models
    return [(dataset, name) for dataset in _datasets(options) for name in chosen if fits(name, dataset)]


def _datasets(options: Options) -> list[str]:
    return options.get("datasets") or [options["dataset"]]


def _paired(sheets: Cells, options: Options) -> Iterator[tuple[str, str]]:
    """Data set and name of the shown models that have another one before them in the set of the figure."""
    return ((dataset, name) for dataset, name in shown(sheets, options) if sheets.above(name, options["set"], dataset))


def _compared(images: str) -> Callable[[Cells, Options], list[str]]:
    def cells(sheets: Cells, options: Options) -> list[str]:
        return [
            f"{sheets.results}/compare/{dataset}/{options['set']}/{images}/{measure}/{name}.parquet"
            for measure in options["measures"]
            for dataset, name in _paired(sheets, options)
        ]

    return cells


def _agreeing(images: str) -> Callable[[Cells, Options], list[str]]:
    def cells(sheets: Cells, options: Options) -> list[str]:
        return [
            f"{sheets.results}/agree/{dataset}/{options['set']}/{images}/{name}.parquet"
            for dataset, name in _paired(sheets, options)
        ]

    return cells


def _answers(images: str) -> Callable[[Cells, Options], list[str]]:
    """Representations that ambiguity is computed from, of every shown model on the image sets of its group."""

    def beside(sheets: Cells, options: Options) -> list[str]:
        same = {"set": options["set"], "images": images}
        cells = [same | {"dataset": dataset, "model": name} for dataset, name in _paired(sheets, options)]
        return list(dict.fromkeys(path for cell in cells for path in sheets.represented(cell)))

    return beside


def _fig1_cells(sheets: Cells, options: Options) -> list[str]:
    return [f"{sheets.results}/pairs/{options['dataset']}.parquet"]


def _fig1_beside(sheets: Cells, options: Options) -> list[str]:
    inverted = [f"{sheets.results}/invert/{options['dataset']}/{model}.lmdb" for model in options["models"]]
    return [sheets.store(options["dataset"], "test")[0], *inverted]


def _fig1_told(sheets: Cells, options: Options) -> Options:
    return {"rows": {model: sheets.keys_of(model) for model in options["models"]}} | labels(sheets, options)


def _fig5_cells(sheets: Cells, options: Options) -> list[str]:
    return [
        f"{sheets.results}/subgroups/{dataset}/{options['set']}/natural/{options['groups']}/{measure}/{name}.parquet"
        for measure in options["measures"]
        for dataset, name in _paired(sheets, options)
    ]


def _fig6_cells(sheets: Cells, options: Options) -> list[str]:
    return [
        f"{sheets.results}/probe_agree/{dataset}/{options['set']}/{name}.parquet"
        for dataset, name in _paired(sheets, options)
    ]


def _of_pairs(sheets: Cells, options: Options) -> Options:
    """Params of every table of pairs: the models, and the number of neighbours of each measure that has one."""
    neighbours = {name: sheets.measures[name].get("k") for name in options.get("measures", [])}
    return {"models": list(dict.fromkeys(name for _, name in shown(sheets, options))), "k": neighbours}


def _check_pairs(sheets: Cells, options: Options, where: str, images: str = "natural") -> None:
    datasets = _datasets(options)
    for dataset in datasets:
        sheets.known(
            dataset, sheets.datasets, "data set", f"{where}.{'datasets' if 'datasets' in options else 'dataset'}"
        )
    for measure in options.get("measures", []):
        sheets.known(measure, sheets.measures, "measure", f"{where}.measures")
        check_measure(sheets, measure, images, f"{where}.measures")
    if isinstance(options["models"], list):
        _check_members(sheets, options["models"], datasets, f"{where}.models")
    groups = [(dataset, sheets.group(name)) for dataset, name in shown(sheets, options)]
    pairs = [group for group in groups if groups.count(group) > 1]
    for eps in options["eps"]:
        if not any(group[-1] == eps for _, group in pairs):
            raise ValueError(f"{where}.eps: {_no_pairs(sheets, options, eps)}")
    for dataset in datasets:
        if not any(found == dataset for found, _ in pairs):
            raise ValueError(f"{where}: no two models of '{dataset}' have one of the eps in common")


def _check_members(sheets: Cells, models: list[str], datasets: list[str], where: str) -> None:
    for model in models:
        if not any(sheets.fits(model, dataset) for dataset in datasets):
            raise ValueError(f"{where}: '{model}' is not a model of '{_or(datasets)}'")


def _no_pairs(sheets: Cells, options: Options, eps: float) -> str:
    """Why there are no two models of an eps to compare, with those that differ in threat or last digits."""
    threat, datasets = options["threat"] if eps else "none", _datasets(options)
    text = f"{threat} {eps_text(eps)} needs two models of '{_or(datasets)}' or more"
    rows = [row for name, row in sheets.models.items() if any(sheets.fits(name, dataset) for dataset in datasets)]
    near = {f"{row['threat']} {eps_text(row['eps'])}" for row in rows if isclose(row["eps"], eps, rel_tol=0.01)}
    others = sorted(near - {f"{threat} {eps_text(eps)}"})
    return text + (f"; there are models of {' and '.join(others)}" if others else "")


def _or(datasets: list[str]) -> str:
    return "' or '".join(datasets)


def _check_by_k(sheets: Cells, options: Options, where: str, images: str = "natural") -> None:
    _check_pairs(sheets, options, where, images)
    for measure in options["measures"]:
        if "k" not in sheets.measures[measure]:
            raise ValueError(f"{where}.measures: '{measure}' has no number of neighbours k")


def _inverted(check: Callable) -> Callable[[Cells, Options, str], None]:
    return partial(check, images="inverted")


_PAIRS = {"told": _of_pairs, "draws": True, "pairs": True}  # of every table of pairs

FIGURES = {
    "fig1": Figure(
        "inverted images",
        _fig1_cells,
        check_models,
        made_from=(PAIRS,),
        table=Table(
            "fig1",
            "Images of figure 1: targets, the seeds that inversion starts from, and what it makes of them; `value` is "
            "the final loss of an inverted image.",
            keys("dataset", "model", "norm", "eps", "measure", "id")
            | RESULT
            | {"image": Column(BINARY, "PNG")}
            | LABEL,
        ),
        rows="universality.figure1",
        draw="fig1_inversions",
        beside=_fig1_beside,
        told=_fig1_told,
    ),
    "fig2": Figure(
        "similarity on natural images",
        _compared("natural"),
        _check_pairs,
        made_from=(COMPARE,),
        table=Table(
            "fig2",
            "Similarity of pairs of models on natural images, by data set and training eps" + _MEANS,
            COMPARE.columns,
        ),
        rows="universality.similarity",
        draw="fig2_similarity",
        **_PAIRS,
    ),
    "fig3": Figure(
        "similarity on inverted images",
        _compared("inverted"),
        _inverted(_check_pairs),
        made_from=(COMPARE,),
        table=Table(
            "fig3",
            "Directed similarity of pairs of models on inverted images, by data set and training eps" + _MEANS,
            COMPARE.columns,
        ),
        rows="universality.similarity",
        draw="fig2_similarity",
        **_PAIRS,
    ),
    "fig4": Figure(
        "agreement on natural images",
        _agreeing("natural"),
        _check_pairs,
        made_from=(AGREE,),
        table=Table(
            "fig4",
            "Functional similarity of pairs of models on natural images"
            + _MEANS[:-1]
            + "; `ambiguity` and `discrepancy` are of the whole group.",
            AGREE.columns,
        ),
        rows="universality.agreement",
        draw="fig4_agreement",
        beside=_answers("natural"),
        **_PAIRS,
    ),
    "fig5": Figure(
        "similarity on agreeing and disagreeing images",
        _fig5_cells,
        _check_pairs,
        made_from=(SUBGROUPS,),
        table=Table(
            "fig5",
            "Rows of `subgroups` for the pairs that figure 5 shows, then a row per contrast (model is `all`): value is "
            "the mean paired difference over pairs, lo and hi its 95 % bootstrap interval, p of a paired permutation "
            "test.",
            SUBGROUPS.columns | {"p": Column(FLOAT, "two-sided p-value", "probability", nullable=True)},
        ),
        rows="universality.figure5",
        draw="fig5_subgroups",
        **_PAIRS,
    ),
    "fig6": Figure(
        "agreement of probes",
        _fig6_cells,
        _check_pairs,
        made_from=(PROBE_AGREE,),
        table=Table("fig6", "Agreement of pairs of models by head, from `probe_agree`" + _MEANS, PROBE_AGREE.columns),
        rows="universality.figure6",
        draw="fig6_probes",
        **_PAIRS,
    ),
    "fig13": Figure(
        "agreement on inverted images",
        _agreeing("inverted"),
        _check_pairs,
        made_from=(AGREE,),
        table=Table("fig13", "Functional similarity of pairs of models on inverted images" + _MEANS, AGREE.columns),
        rows="universality.agreement",
        draw="fig4_agreement",
        beside=_answers("inverted"),
        **_PAIRS,
    ),
    "fig14": Figure(
        "Jaccard by neighbours, natural images",
        _compared("natural"),
        _check_by_k,
        made_from=(COMPARE,),
        table=Table("fig14", "Jaccard similarity on natural images by number of neighbours" + _MEANS, _BY_K),
        rows="universality.by_k",
        draw="fig14_neighbours",
        **_PAIRS,
    ),
    "fig15": Figure(
        "Jaccard by neighbours, inverted images",
        _compared("inverted"),
        _inverted(_check_by_k),
        made_from=(COMPARE,),
        table=Table("fig15", "Jaccard similarity on inverted images by number of neighbours" + _MEANS, _BY_K),
        rows="universality.by_k",
        draw="fig14_neighbours",
        **_PAIRS,
    ),
}
