"""Matching of units: how well the units of one model correlate with those of another, one by one."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from mettle.measures.base import Measure, centred, enough, paired, reordered, snap
from mettle.scales import SCALES

_EACH_UNIT = frozenset({"translation", "isotropic scaling", "permutation"})
_PIVOTS = 10**8  # far more than the solver needs; it stops when the plan is optimal


def prepare(features: np.ndarray) -> np.ndarray:
    """
    One model's part of a matching of units.

    Parameters
    ----------
    features : (n, d) array
        Row i comes from image i, column j from unit j; n >= 2.

    Returns
    -------
    (n, r) array
        Units centred and scaled to norm 1, without units that are constant over images, which have no correlation.

    Raises
    ------
    ValueError
        If there are fewer than 2 images, or if the features are constant over images.
    """
    enough(len(features), 2)
    x = centred(features)
    sizes = np.linalg.norm(x, axis=0)
    alive = sizes > 1e-12 * np.linalg.norm(np.asarray(features, dtype=np.float64), axis=0)
    if not alive.any():
        raise ValueError("the features are constant over images up to rounding")
    return x[:, alive] / sizes[alive]


def score(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean correlation of matched units under the best matching of two models.

    Returns
    -------
    float
        In [-1, 1]; 1 if the models have the same units up to their order and to the scale and offset of each.
        Independent features of few images or many units score well above 0.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Khosla and Williams 2024 (arXiv:2311.09466), correlation form: the maximum of the sum of P[i, j] corr(i, j) over
    plans P whose rows sum to 1/p and whose columns sum to 1/q. If p = q the best plan is a permutation.
    """
    paired(len(a), len(b))
    correlations = a.T @ b
    match = _permutation if correlations.shape[0] == correlations.shape[1] else _transport
    return snap(match(correlations), -1.0, 1.0)


def score_hard(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean correlation of matched units, where each unit of the narrower model is matched to one of the other model.

    Returns
    -------
    float
        In [-1, 1]; 1 if the units of the narrower model are units of the other, up to the scale and offset of each.
        Independent features of few images or many units score well above 0.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Li et al. 2016 (arXiv:1511.07543), bipartite matching with correlation; the units of the wider model that are left
    over do not count, as in `resi` (Klabunde et al. 2025).
    """
    paired(len(a), len(b))
    return snap(_permutation(a.T @ b), -1.0, 1.0)


def score_semi(a: np.ndarray, b: np.ndarray) -> float:
    """
    Mean correlation of each unit with the one of the other model that correlates best with it.

    Returns
    -------
    float
        In [-1, 1]; 1 if every unit of either model is a unit of the other, up to scale and offset. At least as high as
        the score of any matching.

    Raises
    ------
    ValueError
        If the numbers of images differ.

    Notes
    -----
    Li et al. 2016 (arXiv:1511.07543), semi-matching, which may use a unit more than once; the mean of both directions,
    as `SoftCorrelationMatch` of `resi`, so that it is symmetric.
    """
    paired(len(a), len(b))
    correlations = a.T @ b
    return snap((correlations.max(axis=0).mean() + correlations.max(axis=1).mean()) / 2, -1.0, 1.0)


def _permutation(gain: np.ndarray) -> float:
    """Maximum mean over one entry per row and column, as many as there are of the fewer of the two."""
    return float(gain[linear_sum_assignment(gain, maximize=True)].mean())


def _transport(gain: np.ndarray) -> float:
    """
    Maximum mean of a matrix under transport plans with uniform marginals.

    Raises
    ------
    RuntimeError
        If the solver stops before it finds the best plan.
    """
    from ot import emd

    even = [np.full(size, 1 / size) for size in gain.shape]
    plan, log = emd(*even, -gain, numItermax=_PIVOTS, log=True)
    if log["warning"]:
        raise RuntimeError(f"optimal transport did not finish: {log['warning']}")
    return float(np.vdot(plan, gain))


SOFT = Measure(
    prepare=prepare,
    score=score,
    min_images=lambda width, **_: 2,
    scale=SCALES["soft_matching"],
    invariances=_EACH_UNIT,
    reference="Khosla and Williams 2024 (arXiv:2311.09466), correlation form",
    options={},
    permute=reordered,
)

HARD = Measure(
    prepare=prepare,
    score=score_hard,
    min_images=lambda width, **_: 2,
    scale=SCALES["hard_matching"],
    invariances=_EACH_UNIT,
    reference="Li et al. 2016 (arXiv:1511.07543), bipartite matching",
    options={},
    permute=reordered,
)

SEMI = Measure(
    prepare=prepare,
    score=score_semi,
    min_images=lambda width, **_: 2,
    scale=SCALES["semi_matching"],
    invariances=_EACH_UNIT,
    reference="Li et al. 2016 (arXiv:1511.07543), semi-matching, mean of both directions",
    options={},
    permute=reordered,
)
