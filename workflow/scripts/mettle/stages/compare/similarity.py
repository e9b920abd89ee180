"""Representational similarity of pairs of models, beside the scores of permuted images and independent features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mettle import measures
from mettle.measures.calibration import calibrate
from mettle.seeds import derive
from mettle.stages.compare.representation import Representation, pairs

Row = dict[str, Any]


def similarities(
    first: Sequence[str | Path],
    second: Sequence[str | Path],
    keys: Row,
    options: Row,
    permutations: int,
    floor: bool,
    seed: int,
    progress: Callable = list,
    level: float | None = None,
) -> list[Row]:
    """
    Rows of the compare table, one per pair of files; one per order where the measure is not symmetric.

    Parameters
    ----------
    first, second : files of the represent stage, the i-th compared with the i-th
    keys : dataset, norm, eps, measure
    options : method and options of the measure
    permutations : random orders of the second model's images that the baseline is the mean over, and that scores are
        calibrated against; 0 for no baseline
    floor : whether independent normal features of the same sizes are scored too
    seed : of permutations and independent features
    progress : wraps the list of pairs and shows how far they are
    level : of the calibration; None for none

    Raises
    ------
    ValueError
        If two files hold different images, or the measure is undefined for a model or pair; names models and files.
    """
    method, options = method_of(options)
    known: dict[tuple[int, int, int], Row] = {}  # floors by n, width and width

    def floor_of(*size: int) -> Row:
        if floor and size not in known:
            known[size] = _floor(method, size, derive(seed, "floor", method), options)
        return known.get(size, {"floor": None})

    rows, sizes = [], []
    path = state = None
    for one, other in pairs(progress(list(zip(first, second, strict=True))), "features"):
        if one.path != path:
            path, state = one.path, prepared(method, one, options)
        for row in _pair(method, state, one, other, options, permutations, seed, level):
            rows.append(keys | row | {"method": method})
            sizes.append((len(one.ids), one.features.shape[1], other.features.shape[1]))
        del one, other  # before the next one is read
    state = None  # independent features need as much memory as real ones
    return [row | floor_of(*size) for row, size in zip(rows, sizes, strict=True)]


def _floor(method: str, size: tuple[int, int, int], seed: int, options: Row) -> Row:
    """The columns of the score of independent features, which keep more components than real ones: svcca may refuse."""
    try:
        return {"floor": measures.floor(method, *size, seed, **options)}
    except ValueError as error:
        return {"floor": None, "note": f"no floor: {error}"}


def _pair(
    method: str,
    state: Any,
    one: Representation,
    other: Representation,
    options: Row,
    permutations: int,
    seed: int,
    level: float | None,
) -> list[Row]:
    """The rows of a pair: scores of one order or both, and of permuted images."""
    measure = measures.get(method)
    both = not measure.symmetric and not one.images.startswith("inverted-")

    def score(second: Any) -> list[float]:
        try:
            return [measure.score(state, second), *([measure.score(second, state)] if both else [])]
        except ValueError as error:
            raise ValueError(f"{method} of {one} and {other}: {error}") from error

    second = prepared(method, other, options)
    values, chance = score(second), []
    for number in range(permutations):
        rng = np.random.default_rng(derive(seed, "permute", one.images, one.model, other.model, number))
        order = rng.permutation(len(other.ids))
        chance.append(score(measures.permuted(method, second, other.features, order, who=str(other), **options)))
    models = [(one.model, other.model), (other.model, one.model)]
    return [
        {"images": one.images, "model": model, "model_b": model_b, **result(len(one.ids), value)}
        | _chance(method, value, [scores[place] for scores in chance], level)
        for place, ((model, model_b), value) in enumerate(zip(models, values, strict=False))
    ]


def _chance(method: str, value: float, null: Sequence[float], level: float | None) -> Row:
    """The columns that permuted images give: their mean score, and the score calibrated against theirs."""
    found = {"baseline": float(np.mean(null)) if null else None, "p": None, "calibrated": None}
    if level is None or not measures.get(method).scale.by_image:
        return found
    calibrated = calibrate(measures.get(method).scale, value, null, level)
    return found | {"p": calibrated.p, "calibrated": calibrated.calibrated}


def prepared(method: str, of: Representation, options: Row) -> Any:
    """The measure's state of one model; a ValueError names model and file."""
    return measures.prepare(method, of.features, who=str(of), **options)


def method_of(options: Row) -> tuple[str, Row]:
    """Method and its own options."""
    return options["method"], {key: value for key, value in options.items() if key != "method"}


def result(
    n: int, value: float | None, note: str | None = None, lo: float | None = None, hi: float | None = None
) -> Row:
    """The columns that every table of results has."""
    numbers = {"value": value, "lo": lo, "hi": hi}
    return {"n": int(n), **{key: None if x is None else float(x) for key, x in numbers.items()}, "note": note}
