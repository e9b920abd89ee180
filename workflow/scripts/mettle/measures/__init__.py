"""
Measures of representational similarity, by name.

Every measure compares two arrays of features, one row per image, with rows matched. `prepare` does once per model
what can be done once per model; `Measure.score` then compares two prepared models; `compare` does both for one pair.
"""

from typing import Any

from mettle.measures import cka, jaccard, procrustes, rtd
from mettle.measures.base import Measure, check, paired

__all__ = ["MEASURES", "Measure", "check", "compare", "get", "prepare"]

MEASURES: dict[str, Measure] = {
    "cka": cka.UNBIASED,
    "cka_biased": cka.BIASED,
    "procrustes": procrustes.MEASURE,
    "jaccard": jaccard.MEASURE,
    "rtd": rtd.MEASURE,
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
    Check one model's features and compute what the measure needs of them.

    Parameters
    ----------
    name : str
        A key of `MEASURES`.
    features : (n, d) array
        Row i comes from image i.
    who : str
        What messages call the features, the model for instance.
    **options
        Options of the measure, see `Measure.options`.

    Returns
    -------
    object
        State for `Measure.score`.

    Raises
    ------
    ValueError
        If the features are unfit (see `check`), too few, or leave the score undefined, or if an option is unknown or
        has no meaning. The message names `who`.
    """
    measure = get(name)
    unknown = sorted(options.keys() - measure.options.keys())
    if unknown:
        raise ValueError(f"{name} has no option {unknown[0]!r}; known: {', '.join(measure.options) or 'none'}")
    x = check(features, who)
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
        Raw value; `Measure.display` turns it into a number that is higher the more alike.

    Raises
    ------
    ValueError
        If the rows are not paired, and whatever `prepare` raises.
    """
    measure = get(name)
    x, y = check(x, "x"), check(y, "y")
    paired(len(x), len(y))
    return measure.score(prepare(name, x, who="x", **options), prepare(name, y, who="y", **options))
