"""Representational similarity on two parts of the images that a pair of models splits them into."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from mettle import measures
from mettle.seeds import derive
from mettle.stages.compare.representation import Representation, pairs
from mettle.stages.compare.similarity import method_of, result

Row = dict[str, Any]
Split = Callable[[Representation, Representation], np.ndarray]


def _agree(a: Representation, b: Representation) -> np.ndarray:
    return a.prediction == b.prediction


def _right(a: Representation, b: Representation) -> np.ndarray:
    return (a.prediction == a.label) & (b.prediction == b.label)


def _confident(a: Representation, b: Representation) -> np.ndarray:
    """Whether the less confident of both models is at least as confident as on half of the images."""
    least = np.minimum(*(softmax(of.logits.astype(np.float64), axis=1).max(1) for of in (a, b)))
    return least >= np.median(least)


# By name: the two parts, and whether an image belongs to the first.
SPLITS: dict[str, tuple[tuple[str, str], Split]] = {
    "agreement": (("agree", "disagree"), _agree),
    "correctness": (("right", "wrong"), _right),
    "confidence": (("confident", "unsure"), _confident),
}


def subgroups(
    first: Sequence[str | Path],
    second: Sequence[str | Path],
    keys: Row,
    options: Row,
    split: str,
    draws: int,
    few: int,
    seed: int,
    progress: Callable = list,
) -> list[Row]:
    """
    Rows of the subgroups table: per pair, the score on each of the two parts, from scratch; per order, where the
    measure is not symmetric.

    `agreement`: both models predict the same class, right or wrong, or not. `correctness`: both are right, or not.
    `confidence`: the less confident of the two is at least as confident as on half of the images, or not. Both parts
    are also drawn down to the size of the smaller one, `*_matched`: a difference between these two cannot come from
    the number of images. The score of a drawn part is the mean over draws.

    A part that has fewer images than the measure needs, or on which it is undefined, has no value and says so in its
    note. So does a score of few images.

    Parameters
    ----------
    first, second : files of the represent stage, the i-th compared with the i-th
    keys : dataset, norm, eps, measure
    options : method and options of the measure
    split : key of `SPLITS`
    draws : random subsets that a drawn part is the mean over
    few : images; a score of fewer has a note
    seed : of the draws
    progress : wraps the list of pairs and shows how far they are
    """
    vectors = ("features", "logits") if split == "confidence" else ("features",)
    rows = []
    both = not measures.get(options["method"]).symmetric
    for one, other in pairs(progress(list(zip(first, second, strict=True))), *vectors):
        for of in (one, other):
            measures.check(of.features, str(of))
        natural = not one.images.startswith("inverted-")
        for a, b in [(one, other), (other, one)] if both and natural else [(one, other)]:
            cell = keys | {"images": a.images, "model": a.model, "model_b": b.model, "method": options["method"]}
            parts = _parts(a, b, options, split, draws, seed)
            rows += [cell | {"subgroup": part} | _noted(scored, few) for part, scored in parts]
        del one, other, of, a, b  # before the next ones are read
    return rows


def _parts(
    one: Representation, other: Representation, options: Row, split: str, draws: int, seed: int
) -> Iterator[tuple[str, Row]]:
    method, options = method_of(options)
    names, belongs = SPLITS[split]
    inside = belongs(one, other)
    parts = dict(zip(names, (np.flatnonzero(inside), np.flatnonzero(~inside)), strict=True))
    size = min(map(len, parts.values()))
    needed = measures.get(method).min_images(max(one.features.shape[1], other.features.shape[1]), **options)

    def score(rows: np.ndarray) -> float:
        return measures.compare(method, one.features[rows], other.features[rows], **options)

    for name, rows in parts.items():
        if len(rows) < needed:
            reason = f"{len(rows)} images in the group, {method} needs {needed}"
            yield name, result(len(rows), None, reason)
            yield f"{name}_matched", result(size, None, reason if len(rows) == size else "the other group is too small")
            continue
        whole = _scored(score, [rows])
        yield name, whole
        if size < needed:
            yield f"{name}_matched", result(size, None, f"{size} images in the smaller group, {method} needs {needed}")
        elif size == len(rows):
            yield f"{name}_matched", whole
        else:
            rng = np.random.default_rng(derive(seed, "matched", one.model, other.model, name))
            yield (
                f"{name}_matched",
                _scored(score, [np.sort(rng.choice(rows, size, replace=False)) for _ in range(draws)]),
            )


def _scored(score: Callable[[np.ndarray], float], subsets: Sequence[np.ndarray]) -> Row:
    """Mean score over subsets of one size, with the least and greatest if they are several."""
    n = len(subsets[0])
    try:
        values = [score(rows) for rows in subsets]
    except ValueError as error:
        return result(n, None, str(error))
    return result(n, np.mean(values), lo=min(values), hi=max(values)) if len(values) > 1 else result(n, values[0])


def _noted(scored: Row, few: int) -> Row:
    """A score, with a note if it is of few images."""
    if scored["value"] is None or scored["n"] >= few:
        return scored
    return scored | {"note": f"rests on fewer than {few} images"}
