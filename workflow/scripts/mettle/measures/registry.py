"""The measures by name, and what is done with any of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mettle.measures import (
    alignment,
    cca,
    cka,
    cknna,
    cosine,
    distances,
    eigenspace,
    gulp,
    imd,
    jaccard,
    matching,
    procrustes,
    regression,
    rsa,
    rtd,
    rtd_lite,
    shape,
    statistics,
)
from mettle.measures.base import Measure, check, paired

MEASURES: dict[str, Measure] = {
    "cka": cka.UNBIASED,
    "cka_biased": cka.BIASED,
    "cka_minibatch": cka.MINIBATCH,
    "cka_rbf": cka.RBF,
    "cknna": cknna.MEASURE,
    "procrustes": procrustes.MEASURE,
    "size_and_shape": procrustes.SIZE,
    "permutation_procrustes": alignment.PERMUTATION,
    "aligned_cosine": alignment.COSINE,
    "mutual_knn": jaccard.MUTUAL,
    "jaccard": jaccard.MEASURE,
    "rank": jaccard.RANK,
    "rank_jaccard": jaccard.JOINT,
    "cosine": cosine.MEASURE,
    "rtd": rtd.MEASURE,
    "rtd_lite": rtd_lite.MEASURE,
    "gulp": gulp.MEASURE,
    "shape": shape.MEASURE,
    "cca": cca.CCA,
    "svcca": cca.SVCCA,
    "pwcca": cca.PWCCA,
    "linear_regression": regression.MEASURE,
    "eigenspace_overlap": eigenspace.MEASURE,
    "rsa": rsa.MEASURE,
    "distance_correlation": distances.CORRELATION,
    "rsm_norm_difference": distances.DIFFERENCE,
    "imd": imd.MEASURE,
    "soft_matching": matching.SOFT,
    "hard_matching": matching.HARD,
    "semi_matching": matching.SEMI,
    "magnitude": statistics.MAGNITUDE,
    "concentricity": statistics.CONCENTRICITY,
    "uniformity": statistics.UNIFORMITY,
}


def get(name: str) -> Measure:
    """
    Return the measure called `name`.

    Raises
    ------
    ValueError
        If there is none; the message lists the known names.
    """
    if name not in MEASURES:
        raise ValueError(f"unknown measure {name!r}; known: {', '.join(MEASURES)}")
    return MEASURES[name]


def prepare(name: str, features: Any, *, who: str = "features", **options: Any) -> Any:
    """
    Check one model's features and compute what the measure needs from them.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    features : (n, d) array
        Row i comes from image i.
    who : str
        Name of the features in messages, for example the model.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    object
        State for `Measure.score`.

    Raises
    ------
    ValueError
        If the features are invalid (see `check`), there are too few, or the score is undefined for them, or if an
        option is unknown or invalid. The message names `who`.
    """
    return prepared(name, check(features, who), who, options)


def prepared(name: str, x: np.ndarray, who: str, options: Mapping[str, Any]) -> Any:
    """`prepare` for features that have been checked."""
    measure = get(name)
    unknown = sorted(options.keys() - measure.options.keys())
    if unknown:
        raise ValueError(f"{name} has no option {unknown[0]!r}; known: {', '.join(measure.options) or 'none'}")
    try:
        return measure.prepare(x, **options)
    except ValueError as error:
        raise ValueError(f"{name} of {who}: {error}") from error


def compare(name: str, x: Any, y: Any, **options: Any) -> float:
    """
    Score one pair of representations.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    x, y : (n, p) and (n, q) arrays
        Features of two models; row i of both comes from image i.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    float
        Raw value; `Scale.display` turns it into a number that is higher for more similar models.

    Raises
    ------
    ValueError
        If the numbers of rows differ, and whatever `prepare` raises.
    """
    measure = get(name)
    x, y = check(x, "x"), check(y, "y")
    paired(len(x), len(y))
    return measure.score(prepared(name, x, "x", options), prepared(name, y, "y", options))


def pairwise(name: str, features: Mapping[str, Any], **options: Any) -> tuple[list[str], np.ndarray]:
    """
    Score all pairs of several models, preparing each model once.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    features : mapping
        From each model's name to its features, an (n, d) array; row i always comes from image i.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    names : list of m str
        The models, in the order of `features`.
    scores : (m, m) array
        Raw values, ``score(row model, column model)``; `Scale.self_value` on the diagonal.

    Raises
    ------
    ValueError
        If a model has a different number of images than the first, and whatever `prepare` raises, naming the model.
    """
    measure, names, states, images = get(name), list(features), [], None
    for who, values in features.items():
        x = check(values, who)
        images = images or len(x)
        paired(images, len(x))
        states.append(prepared(name, x, who, options))
    scores = measure.table(states) if measure.table and states else _one_by_one(measure, states)
    np.fill_diagonal(scores, measure.scale.self_value)
    return names, scores


def _one_by_one(measure: Measure, states: Sequence[Any]) -> np.ndarray:
    """Scores of all pairs of different models; a symmetric measure is computed in one direction."""
    scores = np.zeros((len(states), len(states)))
    for i, a in enumerate(states):
        for j, b in enumerate(states[:i]):
            scores[i, j] = measure.score(a, b)
            scores[j, i] = scores[i, j] if measure.symmetric else measure.score(b, a)
    return scores
