"""Nearest points: of a hyperplane inside the pixel range, the inner problem of FAB, and of the L1 ball."""

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
    norm : `l1`, `l2` or `linf`, in which the move is smallest

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
    steps, usually under eight. A row that has arrived stays as it is, so rows do not depend on each other. In L1 the
    coordinates with the largest weights go to the border, one after another, and the last as far as it has to.
    """
    size = weights.abs()
    direction = weights.sign() * gap.sign()[:, None]
    room = torch.gt(direction, 0, out=torch.empty_like(points)).sub_(points).abs_()
    if norm == "l1":
        return direction * _one_by_one(size, room, gap.abs())
    pace = size if norm == "l2" else torch.ones_like(gap)[:, None]
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


def _one_by_one(rates: Tensor, room: Tensor, total: Tensor) -> Tensor:
    """Ways (n, d) in [0, room] of least sum with sum_i rates_i way_i = total (n,); if there are none, the room."""
    rates, order = rates.sort(dim=1, descending=True, stable=True)
    room = room.gather(1, order)
    gain = (rates * room).double()
    before = gain.cumsum(1) - gain  # in float64: a late coordinate may be small beside the sum
    left = (total.double()[:, None] - before).clamp_min(0)
    way = torch.minimum((left / rates.clamp_min(torch.finfo(rates.dtype).tiny)).to(room.dtype), room)
    return torch.zeros_like(room).scatter_(1, order, way.masked_fill(rates == 0, 0))


def onto_ball(delta: Tensor, eps: float | Tensor) -> Tensor:
    """Nearest differences, in L2, in the L1 balls of radius eps, one or (n,): (n, ...)."""
    return _shrunk(delta, torch.full_like(delta, torch.inf), eps)


def onto_ball_in_box(delta: Tensor, images: Tensor, eps: float | Tensor) -> Tensor:
    """Nearest differences, in L2, in the L1 ball of radius eps that keep the images in [0, 1]: (n, ...).

    Croce & Hein 2021 (arXiv:2103.01208), proposition 2.1: coordinate d becomes sign(d) max(min(|d| - t, room), 0),
    where room is the way of the image to the border, and t >= 0 is the least with a sum of at most eps.

    Parameters
    ----------
    delta : (n, ...) differences
    images : (n, ...) in [0, 1]
    eps : radius, of all or (n,) of each
    """
    return _shrunk(delta, torch.where(delta > 0, 1 - images, images), eps)


def _shrunk(delta: Tensor, room: Tensor, eps: float | Tensor) -> Tensor:
    size, room = delta.flatten(1).abs().double(), room.flatten(1).double()
    eps = torch.as_tensor(eps, dtype=size.dtype, device=size.device).expand(len(size))
    less = _threshold(size, room, eps)[:, None]
    left = torch.minimum((size - less).clamp_min(0), room).to(delta.dtype)
    return delta.sign() * left.view_as(delta)


def _threshold(size: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """The least t >= 0 (n,) with sum_i max(min(size_i - t, room_i), 0) <= eps, in float64.

    The sum is piecewise linear in t: coordinate i begins to shrink at size_i - room_i, or at 0, and is gone at size_i.
    """
    total = torch.minimum(size, room).sum(1)
    threshold, outside = torch.zeros_like(total), total > eps
    size, room, total, eps = size[outside], room[outside], total[outside][:, None], eps[outside][:, None]
    turns, order = torch.cat([(size - room).clamp_min_(0), size], dim=1).sort(dim=1)
    shrinking = torch.where(order < size.shape[1], 1.0, -1.0).cumsum(1)  # coordinates, after each turn
    lost = turns.diff(dim=1).mul_(shrinking[:, :-1]).cumsum_(1)
    left = torch.cat([total, total - lost], dim=1)
    last = ((left > eps).sum(1, keepdim=True) - 1).clamp(0, turns.shape[1] - 2)  # turn from which the root is reached
    turn, before, slope = (values.gather(1, last) for values in (turns, left, shrinking))
    threshold[outside] = (turn + (before - eps) / slope)[:, 0]
    return threshold
