"""Predictive multiplicity of a whole group of models, Marx et al. 2020 (arXiv:1909.06677)."""

from collections.abc import Sequence

import numpy as np


def ambiguity(predictions: Sequence[np.ndarray]) -> float:
    """Fraction of images on which at least two models of a group differ.

    Parameters
    ----------
    predictions : of each model an (n,) array of classes, for the same images
    """
    return float(np.mean(np.any(np.stack(predictions) != predictions[0], axis=0)))


def discrepancy(predictions: Sequence[np.ndarray]) -> float:
    """Largest fraction of images on which two models of a group differ; 0 for a single model.

    Parameters
    ----------
    predictions : of each model an (n,) array of classes, for the same images
    """
    apart = (float(np.mean(p != q)) for place, p in enumerate(predictions) for q in predictions[:place])
    return max(apart, default=0.0)
