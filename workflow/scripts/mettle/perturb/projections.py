"""Nearest point of a hyperplane inside the pixel range, in L2 and Linf: the inner problem of FAB."""

import torch
from torch import Tensor
from torch.linalg import vecdot


def onto_hyperplane(points: Tensor, weights: Tensor, gap: Tensor, norm: str) -> Tensor:
    """Smallest move of each point to the part of its hyperplane that lies in the box [0, 1].

    Parameters
    ----------
    points : (n, d) in [0, 1]
    weights : (n, d) normals of the hyperplanes
    gap : (n,) what the inner product of normal and move has to be
    norm : `l2` or `linf`, in which the move is smallest

    Returns
    -------
    Tensor
        (n, d) moves. Where the box holds no point of the hyperplane: the move to the corner nearest to it. A coordinate
        with weight zero does not move.

    Notes
    -----
    The projection of Croce & Hein 2020 (arXiv:1907.02044), without their sorting. With u = 1 (Linf) or u = |w| (L2) the
    move is sign(gap) sign(w) min(multiplier u, room), where room is the way to the border. Its inner product with w is
    concave and piecewise linear in the multiplier, so Newton's method from zero rises to the root in finitely many
    steps, usually under eight. A row that has arrived stays as it is, so rows do not depend on each other.
    """
    size = weights.abs()
    pace = size if norm == "l2" else torch.ones_like(gap)[:, None]
    direction = weights.sign() * gap.sign()[:, None]
    room = torch.gt(direction, 0, out=torch.empty_like(points)).sub_(points).abs_()
    multiplier = _multiplier(size * pace, size * room, room / pace, gap.abs())
    return direction * torch.minimum(multiplier[:, None] * pace, room)


def _multiplier(rates: Tensor, limits: Tensor, ends: Tensor, total: Tensor) -> Tensor:
    """The t (n,) at which sum_i (rates_i t where t < ends_i, else limits_i) = total; the largest float if none."""
    largest = torch.finfo(total.dtype).max
    multiplier = torch.zeros_like(total)
    free, spent = torch.empty_like(rates), torch.empty_like(rates)  # masks in float: several times faster than bool
    while True:
        torch.gt(ends, multiplier[:, None], out=free)
        torch.le(ends, multiplier[:, None], out=spent)
        root = ((total - vecdot(limits, spent)) / vecdot(rates, free)).nan_to_num(largest, largest).clamp_max(largest)
        risen = torch.maximum(multiplier, root)
        if torch.equal(risen, multiplier):
            return multiplier
        multiplier = risen
