"""Depth: one distance per pixel, in metres. Pixels that do not count in evaluation are 0 in targets."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mettle import tables
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.perturb import Goal, named
from mettle.tasks.scores import main
from mettle.tasks.task import Task

_RATIO = 1.25  # within which, and within whose second and third power, a depth is right


def depth_maps(store: Store, positions: np.ndarray) -> Tensor:
    """Distance of each pixel in metres (n, h, w), float32, of images of one size; 0 where a pixel does not count."""
    beside = TargetStore(store.path)
    return torch.from_numpy(np.stack([beside.scored_depth(int(index)) for index in positions]))


def check(depths: Tensor, targets: Tensor, ids: Sequence[int]) -> None:
    """Raise ValueError unless depths (n, h, w) are finite, positive and of the size of targets, which all have pixels.

    A depth that is not positive has no logarithm: models confine theirs to a range.
    """
    if depths.shape[1:] != targets.shape[1:]:
        found, wanted = (tuple(maps.shape[1:]) for maps in (depths, targets))
        raise ValueError(f"predicted depths are of {found} pixels, depth maps of {wanted}")
    if (empty := ~(targets > 0).flatten(1).any(1)).any():
        raise ValueError(
            f"{named(ids, empty.nonzero()[:, 0].tolist())}: no pixel of the depth map counts: leave the image out, or "
            "correct depth_min, depth_max or depth_crop in config/datasets.tsv"
        )
    if (bad := ~((depths > 0) & depths.isfinite()).flatten(1).all(1)).any():
        raise ValueError(
            f"{named(ids, bad.nonzero()[:, 0].tolist())}: predicted depths are not all positive and finite: have the "
            "model confine them to its range"
        )


def answers(depths: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Pixels that count (n,), and sums over them of each term of an error, float64 (n,).

    All scores follow from them. With the predicted depth p and the true one d, the terms are (p - d)^2, |p - d| / d,
    (p - d)^2 / d, log p - log d, its square, and |log10 p - log10 d|; besides, pixels are counted whose ratio
    max(p / d, d / p) is below 1.25, 1.25^2 and 1.25^3.
    """
    counted = targets > 0
    true = torch.where(counted, targets.double(), 1)
    found = torch.where(counted, depths.double(), 1)
    error, logs = found - true, found.log() - true.log()
    ratio = torch.maximum(found / true, true / found)
    terms = {
        "squared_error": error**2,
        "relative_error": error.abs() / true,
        "relative_squared_error": error**2 / true,
        "log_difference": logs,
        "squared_log_difference": logs**2,
        "log10_error": logs.abs() / math.log(10),
    }
    within = {f"within_{power}": counted & (ratio < _RATIO**power) for power in (1, 2, 3)}
    found = {"valid": _pixels(counted)} | {key: term.flatten(1).sum(1) for key, term in terms.items()}
    return found | {key: _pixels(near) for key, near in within.items()}


def _pixels(mask: Tensor) -> Tensor:
    return mask.flatten(1).sum(1)


def untargeted(targets: Tensor) -> Goal:
    """Higher mean of |log p - log d| over the pixels that count; no output is a success, since no pixel decides.

    Twice the true depth counts as much as half of it, and a near pixel as much as a far one, while squares of metres
    would be about the farthest pixels. The scale-invariant error is blind to depths that are all too large by one
    factor, which an attack is free to bring about. Where a prediction is nearly right, as it is where an attack begins,
    the gradient of a squared error vanishes, and this one does not. It is the score `log10`, times ln 10, of one image.
    """

    def objective(depths: Tensor, index: Tensor) -> Tensor:
        true = targets[index]
        counted = true > 0
        logs = torch.where(counted, depths, 1).log() - torch.where(counted, true, 1).log()
        return logs.abs().flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)

    return Goal(objective)


DEPTH = Task(
    name="depth",
    targets=depth_maps,
    check=check,
    goal=untargeted,
    aims={},
    logits=False,
    answers=answers,
    table=tables.ATTACKED["depth"],
    score=main("depth"),
    native=True,
)
