"""
Measures of functional similarity, by name: how similar the outputs of two models are.

Every measure compares the outputs of two models for the same images in the same order. `bounds` gives the agreement
that the accuracies alone suggest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import entr, softmax

from mettle.measures.base import paired
from mettle.scales import SCALES, Scale

_BLOCK = 1024  # images whose probabilities are in memory at a time


@dataclass(frozen=True)
class Answers:
    """
    A model's outputs for n images.

    Attributes
    ----------
    label : (n,) int array
        True class.
    prediction : (n,) int array
        Predicted class.
    logits : (n, c) array
        One logit per class.
    """

    label: np.ndarray
    prediction: np.ndarray
    logits: np.ndarray

    @property
    def error(self) -> float:
        """Share of wrong predictions."""
        return float(np.mean(self.prediction != self.label))


@dataclass(frozen=True)
class Functional:
    """
    A measure of functional similarity.

    Attributes
    ----------
    score : callable
        From two `Answers` to the raw value; None if it is undefined.
    scale : Scale
        How to read the raw value, from `mettle.scales.SCALES`.
    reference : str
        Where the measure is defined.
    """

    score: Callable[[Answers, Answers], float | None]
    scale: Scale
    reference: str


def compare(name: str, a: Answers, b: Answers) -> float | None:
    """
    Score the outputs of two models for the same images; None if the measure is undefined.

    Raises
    ------
    ValueError
        If the measure is unknown, or the numbers of images or classes differ.
    """
    if name not in FUNCTIONAL:
        raise ValueError(f"unknown functional measure {name!r}; known: {', '.join(FUNCTIONAL)}")
    paired(len(a.label), len(b.label))
    if a.logits.shape != b.logits.shape:
        raise ValueError(f"both models need the same classes, got {a.logits.shape[1]} and {b.logits.shape[1]}")
    return FUNCTIONAL[name].score(a, b)


def disagreement(a: Answers, b: Answers) -> float:
    """Share of images with different predicted classes, in [0, 1]."""
    return float(np.mean(a.prediction != b.prediction))


def normalised_disagreement(a: Answers, b: Answers) -> float | None:
    """
    Disagreement, scaled so that 0 is the minimum and 1 the maximum for the two error rates.

    For error rates e and f the minimum is |e - f| and the maximum min(e + f, 1). None if the two coincide, as for a
    model without errors.
    """
    least, most = abs(a.error - b.error), min(a.error + b.error, 1)
    return None if most - least < 1e-12 else (disagreement(a, b) - least) / (most - least)


def kappa(a: Answers, b: Answers) -> float | None:
    """Cohen's kappa of the predictions, in [-1, 1]: agreement above chance; None if both predict one class only."""
    classes = a.logits.shape[1]
    shares = [np.bincount(answers.prediction, minlength=classes) / len(answers.label) for answers in (a, b)]
    chance = float(shares[0] @ shares[1])
    return None if 1 - chance < 1e-12 else (1 - disagreement(a, b) - chance) / (1 - chance)


def jsd(a: Answers, b: Answers) -> float:
    """Jensen-Shannon divergence of the predicted distributions in nats, in [0, ln 2], averaged over images."""
    return _mean(a, b, _divergence)


def churn(a: Answers, b: Answers) -> float:
    """Soft churn with exponent 1: half the summed differences of probabilities over their maximum, in [0, c / 2]."""
    return _mean(a, b, lambda p, q: np.abs(p / p.max(1, keepdims=True) - q / q.max(1, keepdims=True)).sum(1) / 2)


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of each row of two arrays of distributions (n, c), in nats."""
    apart = entr((p + q) / 2).sum(1) - (entr(p).sum(1) + entr(q).sum(1)) / 2
    return np.clip(apart, *SCALES["jsd"].range)


def _mean(a: Answers, b: Answers, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """Mean over images of a function of the two models' probabilities, computed in blocks of images."""
    total = 0.0
    for start in range(0, len(a.label), _BLOCK):
        p, q = (softmax(x.logits[start : start + _BLOCK].astype(np.float64), axis=1) for x in (a, b))
        total += of(p, q).sum()
    return float(total / len(a.label))


def bounds(accuracy: float, accuracy_b: float, classes: int) -> tuple[float, float]:
    """
    Upper and lower value of the agreement that two accuracies suggest; neither is a strict bound.

    Parameters
    ----------
    accuracy, accuracy_b : float
        As fractions.
    classes : int
        Number of classes, at least 2.

    Returns
    -------
    (float, float)
        Agreement if the worse model is the better one with some predictions replaced by random ones (all if it is worse
        than chance; none if both are), and agreement if the two models are independent.

    Notes
    -----
    Fort et al. 2019 (arXiv:1912.02757), appendix D, where they are given for disagreement.
    """
    low, high = sorted((accuracy, accuracy_b))
    above_chance = high - 1 / classes
    replaced = min((high - low) / above_chance, 1) if above_chance > 1e-12 else 0
    upper = 1 - replaced * (classes - 1) / classes
    both_wrong = (1 - high) * (1 - low)
    independent = (1 - high) * low + (1 - low) * high + both_wrong * (classes - 2) / (classes - 1)
    return upper, 1 - independent


_SURVEY = "Klabunde et al. 2025 (arXiv:2305.06329), functional similarity"

FUNCTIONAL: dict[str, Functional] = {
    "disagreement": Functional(disagreement, SCALES["disagreement"], f"{_SURVEY}, disagreement"),
    "normalised_disagreement": Functional(
        normalised_disagreement,
        SCALES["normalised_disagreement"],
        f"{_SURVEY}, error-corrected disagreement; Fort et al. 2019 (arXiv:1912.02757)",
    ),
    "kappa": Functional(kappa, SCALES["kappa"], "Cohen 1960"),
    "jsd": Functional(jsd, SCALES["jsd"], "Lin 1991, equation 5.1"),
    "churn": Functional(churn, SCALES["churn"], f"{_SURVEY}, surrogate churn"),
}
