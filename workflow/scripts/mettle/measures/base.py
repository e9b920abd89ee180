"""What a similarity measure is, and the checks that all of them share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Measure:
    """A measure of how alike two representations of the same images are.

    Attributes
    ----------
    prepare : (features (n, d) float64, **options) to what the measure needs of one model; computed once per model
    score : (state, state) to the raw value
    min_images : (**options) to the fewest images for which the score is defined
    higher_is_alike : direction of the raw value
    range : of the raw value
    self_value : raw value of a representation with itself
    invariances : of `orthogonal`, `translation`, `isotropic scaling`: changes of one side that leave the score as it is
    label : name of the displayed value
    display : raw value to a number that is higher for more alike
    reference : paper, equation
    options : options of `prepare` and their defaults
    """

    prepare: Callable[..., Any]
    score: Callable[[Any, Any], float]
    min_images: Callable[..., int]
    higher_is_alike: bool
    range: tuple[float, float]
    self_value: float
    invariances: frozenset[str]
    label: str
    display: Callable[[float], float]
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)


def check(features: np.ndarray, who: str) -> np.ndarray:
    """Features as float64 (n, d).

    Raises
    ------
    ValueError
        If they are no matrix, not finite, or equal for all images.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or not features.size:
        raise ValueError(f"{who}: features need shape (images, width), got {features.shape}")
    if bad := int((~np.isfinite(features)).any(axis=1).sum()):
        raise ValueError(f"{who}: features of {bad} of {len(features)} images are NaN or infinite")
    if (features == features[0]).all():
        raise ValueError(
            f"{who}: features are constant, the same for all {len(features)} images; similarity is undefined"
        )
    return features


def centre(features: np.ndarray) -> np.ndarray:
    """Features less their mean over images."""
    return features - features.mean(axis=0)


def thin(features: np.ndarray) -> np.ndarray:
    """Features with the same inner products between images and no more columns than images.

    Everything that sees features through inner products only (CKA, Procrustes) is the same on them.
    """
    n, width = features.shape
    if width <= n:
        return features
    values, vectors = np.linalg.eigh(features @ features.T)
    return vectors * np.sqrt(values.clip(0))
