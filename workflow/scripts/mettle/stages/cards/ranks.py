"""Ranks of models by accuracy, with intervals over images."""

import numpy as np

from mettle.tasks.scores.score import samples

_DRAWS = 500
_BATCH = 50  # draws at a time, so that 1,000 models on 50,000 images need no more than some hundred megabytes


def ranks(right: np.ndarray, seed: int) -> np.ndarray:
    """Rank of every model, and the 95 % percentile interval of its rank over bootstrap samples of the images.

    The best model has rank 1; models with the same accuracy share the best rank of theirs.

    Parameters
    ----------
    right : bool (models, n), whether each model is right on each image
    seed : of the draws; all models are ranked on the same images

    Returns
    -------
    int (models, 3): rank, lower and upper end
    """
    models, n = right.shape
    answers = right.T.astype(np.float32)
    rng = np.random.default_rng(seed)
    found = [_ranked(np.ones((1, n), np.float32) @ answers)]
    drawn = []
    for _ in range(-(-_DRAWS // _BATCH)):
        drawn.append(_ranked(samples(n, _BATCH, rng)[1:] @ answers))
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975], axis=0, method="inverted_cdf")
    return np.stack([found[0][0], low, high], axis=1).astype(np.int64).reshape(models, 3)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Ranks in every row of scores (draws, models)."""
    order = np.sort(-scores, axis=1)
    return np.stack([np.searchsorted(row, -own, side="left") for row, own in zip(order, scores, strict=True)]) + 1
