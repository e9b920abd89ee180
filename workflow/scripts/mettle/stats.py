"""Confidence intervals and tests for proportions and for scores of pairs of models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

_RESAMPLES = 2000  # of a bootstrap


def proportion(part: int, n: int) -> dict[str, Any]:
    """A proportion of n with its 95 % Wilson interval, as columns of a result."""
    from scipy.stats import binomtest  # takes half a second, which jobs that score nothing need not spend

    interval = binomtest(part, n).proportion_ci(0.95, method="wilson")
    return {"n": n, "value": part / n, "lo": interval.low, "hi": interval.high, "note": None}


def proportion_of(true: pd.Series) -> dict[str, Any]:
    """Proportion of true values with its 95 % Wilson interval."""
    return proportion(int(true.sum()), len(true))


def over_models(
    pairs: Sequence[tuple[str, str]], values: Sequence[float], seed: int
) -> tuple[float, float | None, float | None]:
    """
    Mean over pairs of models, with a 95 % bootstrap interval over models.

    Pairs that share a model are not independent, so models are resampled with replacement. The weight of a pair is the
    product of its models' counts; pairs of a model with itself are left out.

    Parameters
    ----------
    pairs : the two models of every pair, in either order
    values : score of every pair
    seed : seed of the draws

    Returns
    -------
    (float, float or None, float or None)
        Mean, and the 2.5 and 97.5 % quantiles of the means of the draws that contain a pair; None for two models, whose
        single pair says nothing about others.

    Notes
    -----
    Snijders & Borgatti 1999, Connections 22(2), vertex bootstrap.
    """
    names = sorted({name for pair in pairs for name in pair})
    a, b = (np.array([names.index(pair[side]) for pair in pairs]) for side in (0, 1))
    scores = np.asarray(values, dtype=np.float64)
    if len(names) < 3:
        return float(scores.mean()), None, None
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    weights = counts[:, a] * counts[:, b]
    held = weights[weights.sum(1) > 0]
    means = held @ scores / held.sum(1)
    lo, hi = np.quantile(means, [0.025, 0.975])
    return float(scores.mean()), float(lo), float(hi)


def paired_test(difference: np.ndarray, resamples: int, seed: int) -> float:
    """Two-sided p-value of a mean difference, by a permutation test that flips signs at random."""
    from scipy.stats import permutation_test

    rng = np.random.default_rng(seed)
    test = permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=resamples, vectorized=True, rng=rng
    )
    return float(test.pvalue)
