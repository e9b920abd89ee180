"""Compare stage: similarity of a model to the models above it in the sheet, on all images and on subgroups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from mettle import measures, tables
from mettle.flow import derive


@dataclass(frozen=True)
class Representation:
    """What a model makes of an image set: `ids` (n,), `prediction` (n,), `features` (n, d)."""

    model: str
    ids: np.ndarray
    prediction: np.ndarray
    features: np.ndarray


def load(path: str | Path) -> Representation:
    """The representation in a file."""
    frame = tables.read(path, tables.REPRESENT, ["model", "id", "prediction"])
    features = tables.vectors(path, tables.REPRESENT, "features")
    return Representation(frame["model"].iloc[0], frame["id"].to_numpy(), frame["prediction"].to_numpy(), features)


def join(first: Representation, second: Representation) -> Representation:
    """The second representation with its rows in the order of the first.

    Raises
    ------
    ValueError
        If the two do not hold the same images.
    """
    if len(first.ids) == len(second.ids) and (first.ids == second.ids).all():
        return second
    order = pd.Index(second.ids).get_indexer(first.ids)
    if len(first.ids) != len(second.ids) or (order < 0).any():
        shared = int((order >= 0).sum())
        raise ValueError(
            f"{first.model} and {second.model} hold different images: {len(first.ids)} and {len(second.ids)}, "
            f"{shared} in common; represent both on the same image set"
        )
    return Representation(second.model, first.ids, second.prediction[order], second.features[order])


def similarities(
    own: str | Path, others: Sequence[str | Path], keys: dict[str, Any], options: dict[str, Any]
) -> list[dict]:
    """Rows of the compare table: one per other model, the measure's per-model quantities computed once.

    Parameters
    ----------
    own, others : files of the represent stage
    keys : dataset, images, norm, eps, measure
    options : method and options of the measure
    """
    first = load(own)
    method, options = _method(options)
    state = measures.prepare(method, first.features, who=first.model, **options)
    rows = []
    for path in others:
        second = join(first, load(path))
        value = measures.get(method).score(
            state, measures.prepare(method, second.features, who=second.model, **options)
        )
        pair = {"model": first.model, "model_b": second.model}
        rows.append(keys | pair | _result(len(first.ids), value) | {"method": method})
    return rows


def subgroups(
    own: str | Path, others: Sequence[str | Path], keys: dict[str, Any], options: dict[str, Any], draws: int, seed: int
) -> list[dict]:
    """Rows of the subgroups table: per other model, the score on each subgroup of the images, from scratch.

    Subgroups are `agree` (both models predict the same class, right or wrong), `disagree` (the rest), and both again
    drawn down to the size of the smaller one, `agree_matched` and `disagree_matched`: a difference between these two
    cannot come from the number of images. The score of a drawn group is the mean over draws.

    A group with fewer images than the measure needs has no value and says so in its note.
    """
    first = load(own)
    return [
        keys | {"subgroup": group, "model": first.model, "model_b": second.model, "method": options["method"]} | result
        for second in (join(first, load(path)) for path in others)
        for group, result in _score_groups(first, second, options, draws, seed)
    ]


def _score_groups(
    first: Representation, second: Representation, options: dict[str, Any], draws: int, seed: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    method, options = _method(options)
    same = first.prediction == second.prediction
    groups = {"agree": np.flatnonzero(same), "disagree": np.flatnonzero(~same)}
    size = min(map(len, groups.values()))
    needed = measures.get(method).min_images(**options)

    def score(rows: np.ndarray) -> float:
        return measures.compare(method, first.features[rows], second.features[rows], **options)

    for name, rows in groups.items():
        if len(rows) < needed:
            reason = f"{len(rows)} images in the group, {method} needs {needed}"
            yield name, _result(len(rows), None, reason)
            yield (
                f"{name}_matched",
                _result(size, None, reason if len(rows) == size else "the other group is too small"),
            )
            continue
        whole = score(rows)
        yield name, _result(len(rows), whole)
        if size < needed:
            yield f"{name}_matched", _result(size, None, f"{size} images in the smaller group, {method} needs {needed}")
        elif size == len(rows):
            yield f"{name}_matched", _result(size, whole)
        else:
            rng = np.random.default_rng(derive(seed, "matched", first.model, second.model, name))
            values = [score(np.sort(rng.choice(rows, size, replace=False))) for _ in range(draws)]
            yield f"{name}_matched", _result(size, np.mean(values), lo=min(values), hi=max(values))


def figure5(cells: pd.DataFrame, models: Sequence[str], resamples: int, seed: int) -> pd.DataFrame:
    """Rows of the fig5 table: the cells of pairs among these models, then the tests of `contrast`."""
    shown = cells[cells["model"].isin(models) & cells["model_b"].isin(models)].assign(p=None)
    tests = pd.DataFrame(contrast(shown, resamples, seed), dtype=object)
    whole = pd.concat([shown.astype(object), tests], ignore_index=True)
    whole.attrs = dict(cells.attrs)
    return whole


def contrast(cells: pd.DataFrame, resamples: int, seed: int) -> list[dict]:
    """Rows of paired permutation tests, one per measure, eps and contrast of subgroups.

    The paired differences are those of unordered pairs of models; `value` is their mean, `lo` and `hi` the 2.5 and
    97.5 % quantiles of 2,000 bootstrap means, `p` the two-sided p-value of randomly flipped signs. Pairs that share a
    model are not independent, so p and interval are somewhat too narrow.
    """
    rows = []
    for (dataset, images, measure, eps), cell in cells.groupby(["dataset", "images", "measure", "eps"], sort=False):
        wide = cell.pivot(index=["model", "model_b"], columns="subgroup", values="value").astype(float)
        for a, b in (("agree", "disagree"), ("agree_matched", "disagree_matched")):
            keys = {"dataset": dataset, "images": images, "subgroup": f"{a} - {b}", "model": "all", "model_b": "all"}
            keys |= {"norm": cell["norm"].iloc[0], "eps": eps, "measure": measure, "method": cell["method"].iloc[0]}
            both = wide[[a, b]].dropna()
            rows.append(keys | _test((both[a] - both[b]).to_numpy(), resamples, derive(seed, measure, eps, a)))
    return rows


def _test(difference: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    if len(difference) < 2:
        return _result(len(difference), None, "a test needs two pairs of models or more") | {"p": None}
    rng = np.random.default_rng(seed)
    test = permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=resamples, vectorized=True, rng=rng
    )
    means = rng.choice(difference, (2000, len(difference))).mean(axis=1)
    lo, hi = np.quantile(means, [0.025, 0.975])
    return _result(len(difference), difference.mean(), lo=lo, hi=hi) | {"p": float(test.pvalue)}


def _method(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return options["method"], {key: value for key, value in options.items() if key != "method"}


def _result(
    n: int, value: float | None, note: str | None = None, lo: float | None = None, hi: float | None = None
) -> dict:
    numbers = {
        key: None if number is None else float(number) for key, number in (("value", value), ("lo", lo), ("hi", hi))
    }
    return {"n": int(n)} | numbers | {"note": note}
