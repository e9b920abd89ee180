"""Losses that models of depth are trained by."""

import torch
from torch import Tensor

_MEAN = 0.15  # weight of the squared mean, by which depths that are all wrong by one factor count less than others
_SHIFT = 1e-3  # metres, before logarithms
_TINY = 1e-12  # below which the root has no gradient: its slope at 0 is infinite


def sig_loss(depths: Tensor, targets: Tensor, *, warm: bool = False) -> Tensor:
    """Scale-invariant loss in logarithms over the pixels of a batch that have a target, a scalar.

    It is sqrt(var(g) + 0.15 mean(g)^2) with g = ln(p + 0.001) - ln(d + 0.001), p the predicted and d the true depth in
    metres. The variance is over all pixels of the batch together, divided by their number less one.

    Parameters
    ----------
    depths : predicted (n, h, w), metres, not negative
    targets : true (n, h, w), metres; 0 where there is none
    warm : the term of the mean alone, for the first updates of a training; 100 of them for DINOv2's heads

    Raises
    ------
    ValueError
        If fewer than two pixels have a target, or sizes differ.

    Notes
    -----
    Eigen, Puhrsch & Fergus 2014 (arXiv:1406.2283), equation 4, with the root and the weight of AdaBins (Bhat, Alhashim
    & Wonka 2021, arXiv:2011.14141), but without its factor of 10, as in the training of DINOv2's heads.
    """
    if depths.shape != targets.shape:
        raise ValueError(f"predicted depths are of shape {tuple(depths.shape)}, targets of {tuple(targets.shape)}")
    known = targets > 0
    if known.sum() < 2:
        raise ValueError("fewer than two pixels of the batch have a depth: leave images without any out")
    difference = (depths[known] + _SHIFT).log() - (targets[known] + _SHIFT).log()
    total = _MEAN * difference.mean() ** 2
    return (total if warm else total + torch.var(difference)).clamp(min=_TINY).sqrt()


def gradient_loss(depths: Tensor, targets: Tensor, scales: int = 4) -> Tensor:
    """Differences of neighbouring errors in logarithms, which keeps edges of depth sharp, a scalar.

    With g as in `sig_loss`, it is the sum over scales of the sum of |g_i - g_j| over pairs of neighbours that both have
    a target, divided by the number of pixels that have one. Scale k takes every 2^k-th row and column.

    Parameters
    ----------
    depths, targets : as in `sig_loss`
    scales : number of scales, from 0

    Notes
    -----
    Li & Snavely 2018 (arXiv:1804.00607), equation 4. The loss in the training of DINOv2's heads takes every k-th image
    and channel of the batch in place of rows and columns.
    """
    total = depths.new_zeros(())
    for step in (2**k for k in range(scales)):
        true, found = (maps[:, ::step, ::step] for maps in (targets, depths))
        known = true > 0
        error = torch.where(known, (found + _SHIFT).log() - (true + _SHIFT).log(), 0)
        across = (error.diff(dim=2).abs() * (known[:, :, 1:] & known[:, :, :-1])).sum()
        down = (error.diff(dim=1).abs() * (known[:, 1:] & known[:, :-1])).sum()
        total = total + (across + down) / known.sum().clamp(min=1)
    return total
