"""Rows of the figures across the studies."""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.scales import SCALES
from mettle.seeds import derive
from mettle.tasks.scores import accuracy, share

Row = dict[str, Any]
_DRAWS = 2000
_FEWEST = 4  # models from which on a bootstrap over models says something
_CLEAN, _ROBUST, _MPC = "clean accuracy", "robust accuracy", "accuracy under corruptions"


def frontier(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Clean accuracy, robust accuracy and mPC of every model.

    Parameters
    ----------
    cells : rows of the attack table, and of the table `robustness_scores`
    options : of the figure, with `labels` of the models and `trained`, the norm and eps of each
    beside : nothing
    """
    return [
        {"dataset": options["dataset"], "split": split, "attack": options["attack"], "model": model, "measure": measure}
        | {"label": options["labels"][model]}
        | options["trained"][model]
        | found
        for model, split, measure, found in _scores(cells, options)
    ]


def _scores(cells: pd.DataFrame, options: Row) -> list[tuple[str, str, str, Row]]:
    """Model, split, property and result, of the models of the figure."""
    found = []
    for (model, split), answers in cells[cells["clean_prediction"].notna()].groupby(["model", "split"], sort=False):
        found.append((model, split, _CLEAN, accuracy(answers, clean=True)))
        found.append((model, split, _ROBUST, accuracy(answers) | {"note": tables.doubts_of(answers)}))
    if "statistic" in cells:
        of = cells[(cells["statistic"] == "mpc") & (cells["corruption"] == "mean") & cells["severity"].isna()]
        of = of[(of["measure"] == "accuracy") & of["model"].isin(options["labels"])]
        found += [(row["model"], row["split"], _MPC, _result(row)) for row in of.to_dict("records")]
    return found


def _result(row: Row) -> Row:
    told = {key: None if pd.isna(row[key]) else row[key] for key in ("value", "lo", "hi", "note")}
    return {"n": int(row["n"])} | told


def profile(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Properties of every model, then the rank correlation of every two.

    Parameters
    ----------
    cells : rows of the attack table, and of `robustness_scores`, `compare` and `drift`
    options : of the figure, with `labels` of the models; `on`, base, mode and data set of every transferred model; and
        the `seed` of the bootstrap
    beside : nothing
    """
    found = [(model, measure, result) for model, _, measure, result in _scores(cells, options)]
    found += _transferred(cells, options) + _similar(cells, options) + _drift(cells)
    blank = {"dataset": options["dataset"], "measure_b": None}
    rows = [
        blank | {"model": model, "measure": measure, "label": options["labels"][model]} | result
        for model, measure, result in found
    ]
    single = pd.DataFrame(rows)
    wide = single.pivot(index="model", columns="measure", values="value")[single["measure"].unique()].astype(float)
    doubts = {name: part.dropna() for name, part in single.groupby("measure")["note"]}
    for first, second in itertools.combinations(wide, 2):
        told = {"model": "all", "measure": first, "measure_b": second, "label": None}
        seed = derive(options["seed"], "profile", first, second)
        found = correlation(wide[[first, second]].dropna().to_numpy(), seed)
        notes = filter(None, [found["note"], *doubts[first], *doubts[second]])
        rows.append(blank | told | found | {"note": tables.together(notes)})
    return rows


def _transferred(cells: pd.DataFrame, options: Row) -> list[tuple[str, str, Row]]:
    """Clean scores of the models that stand on those of the figure, by data set and mode."""
    if "statistic" not in cells:
        return []
    clean = cells[(cells["corruption"] == "clean") & cells["model"].isin(options["on"])]
    found = []
    for row in clean.to_dict("records"):
        about = options["on"][row["model"]]
        if row["measure"] == share(row["task"]).measure:
            found.append((about["base"], f"transfer to {about['dataset']}, {about['mode']}", _result(row)))
    return found


def _similar(cells: pd.DataFrame, options: Row) -> list[tuple[str, str, Row]]:
    """Mean similarity of each model to the others, shown so that more is more alike."""
    if "model_b" not in cells:
        return []
    pairs = cells[cells["model_b"].notna() & cells["value"].notna()]
    found = []
    for (measure, natural), part in pairs.assign(natural=pairs["images"] == "natural").groupby(
        ["measure", "natural"], sort=False
    ):
        shown = part["value"].map(SCALES[part["method"].iloc[0]].display)
        words = f"mean similarity, {measure}, {'natural' if natural else 'inverted'} images"
        for model in options["labels"]:
            own = shown[(part["model"] == model) | (part["model_b"] == model)]
            if len(own):
                found.append((model, words, _mean(own.to_numpy())))
    return found


def _drift(cells: pd.DataFrame) -> list[tuple[str, str, Row]]:
    """Mean cosine of features of attacked images to those of clean ones."""
    if "base_channels" not in cells:
        return []
    rows = cells[cells["base_channels"].notna()]
    words = "features under attack, cosine to clean ones"
    return [(model, words, _mean(of.to_numpy())) for model, of in rows.groupby("model", sort=False)["channels"]]


def _mean(values: np.ndarray) -> Row:
    return {"n": len(values), "value": float(values.mean()), "lo": None, "hi": None, "note": None}


def correlation(pairs: np.ndarray, seed: int) -> Row:
    """Spearman's rank correlation of two properties with its 95 % percentile bootstrap interval over models.

    Parameters
    ----------
    pairs : (models, 2)
    seed : of the draws; those in which all drawn models have one value of a property are left out

    Returns
    -------
    Columns of a result: null with a note where the correlation is undefined; no interval below 4 models
    """
    n = len(pairs)
    blank = {"n": n, "value": None, "lo": None, "hi": None, "note": None}
    if n < 3:
        return blank | {"note": f"{n} models have both: a rank correlation needs 3"}
    value = _spearman(pairs[None])[0]
    if np.isnan(value):
        return blank | {"note": "all models have the same value of one of them"}
    if n < _FEWEST:
        return blank | {"value": float(value), "note": f"{n} models: too few for an interval"}
    drawn = np.random.default_rng(seed).integers(n, size=(_DRAWS, n))
    lo, hi = np.nanquantile(_spearman(pairs[drawn]), [0.025, 0.975])
    return blank | {"value": float(value), "lo": float(lo), "hi": float(hi)}


def _spearman(samples: np.ndarray) -> np.ndarray:
    """Rank correlations of samples (b, n, 2), ties at their mean rank; NaN where a property is constant."""
    from scipy.stats import rankdata  # takes half a second, which other tables need not spend

    ranks = rankdata(samples, axis=1)
    centred = ranks - ranks.mean(1, keepdims=True)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return centred.prod(2).sum(1) / np.sqrt(np.square(centred).sum(1).prod(1))
