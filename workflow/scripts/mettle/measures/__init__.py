"""Similarity of representations: one dictionary of measures, each with what it claims."""

from typing import Any

import numpy as np

from mettle.measures import cka, jaccard, procrustes, rtd
from mettle.measures.base import Measure, check
from mettle.schema import suggest

_ALL = frozenset({"orthogonal", "translation", "isotropic scaling"})

MEASURES = {
    "cka": Measure(
        prepare=cka.prepare,
        score=cka.score,
        min_images=lambda: 4,
        higher_is_alike=True,
        range=(-1.0, 1.0),
        self_value=1.0,
        invariances=_ALL,
        label="CKA",
        display=float,
        reference="Nguyen et al. 2021, arXiv:2010.15327, eq. 3",
    ),
    "cka_biased": Measure(
        prepare=cka.prepare_biased,
        score=cka.score_biased,
        min_images=lambda: 2,
        higher_is_alike=True,
        range=(0.0, 1.0),
        self_value=1.0,
        invariances=_ALL,
        label="CKA (biased)",
        display=float,
        reference="Kornblith et al. 2019, arXiv:1905.00414, section 3",
    ),
    "procrustes": Measure(
        prepare=procrustes.prepare,
        score=procrustes.score,
        min_images=lambda: 2,
        higher_is_alike=False,
        range=(0.0, 2.0),
        self_value=0.0,
        invariances=_ALL,
        label="Procrustes similarity",
        display=lambda value: (2 - value) / 2,
        reference="Ding et al. 2021, arXiv:2108.01661, section 3",
    ),
    "jaccard": Measure(
        prepare=jaccard.prepare,
        score=jaccard.score,
        min_images=jaccard.min_images,
        higher_is_alike=True,
        range=(0.0, 1.0),
        self_value=1.0,
        invariances=_ALL,
        label="Jaccard of neighbours",
        display=float,
        reference="Wang et al. 2020, arXiv:2012.02156; Klabunde et al. 2025, arXiv:2510.19427",
        options={"k": 10, "metric": "cosine", "self_policy": "exclude", "centre": True},
    ),
    "rtd": Measure(
        prepare=rtd.prepare,
        score=rtd.score,
        min_images=rtd.min_images,
        higher_is_alike=False,
        range=(0.0, np.inf),
        self_value=0.0,
        invariances=_ALL,
        label="−RTD",
        display=lambda value: -value,
        reference="Barannikov et al. 2022, arXiv:2201.00058, section 2",
        options={"points": 500, "trials": 10, "seed": 0, "engine": "auto"},
    ),
}


def get(name: str) -> Measure:
    """The measure of this name; an unknown one is a ValueError that lists the known."""
    if name not in MEASURES:
        raise ValueError(f"unknown measure '{name}'{suggest(name, MEASURES)}")
    return MEASURES[name]


def prepare(name: str, features: np.ndarray, *, who: str = "features", **options: Any) -> Any:
    """What a measure needs of one model, from its checked features.

    Parameters
    ----------
    name : measure
    features : (n, d)
    who : whose features they are, for messages
    options : of the measure

    Raises
    ------
    ValueError
        If an option is unknown, the features are no finite matrix or are constant, or there are fewer images than the
        measure needs.
    """
    measure = get(name)
    if unknown := [key for key in options if key not in measure.options]:
        raise ValueError(f"{name} has no option '{unknown[0]}'{suggest(unknown[0], measure.options)}")
    features = check(features, who)
    if len(features) < (needed := measure.min_images(**options)):
        raise ValueError(f"{who}: {name} needs {needed} images or more, got {len(features)}")
    return measure.prepare(features, **options)


def compare(name: str, x: np.ndarray, y: np.ndarray, **options: Any) -> float:
    """Raw value of a measure for two representations, (n, p) and (n, q), of the same images.

    Raises
    ------
    ValueError
        If the numbers of images differ, or for what `prepare` raises.
    """
    if len(x) != len(y):
        raise ValueError(f"two representations need the same images, got {len(x)} and {len(y)}")
    return get(name).score(prepare(name, x, who="first", **options), prepare(name, y, who="second", **options))


__all__ = ["MEASURES", "Measure", "check", "compare", "get", "prepare"]
