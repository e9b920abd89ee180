"""Random smooth maps of colours, the first primitive of PRIME."""

import math

import torch
from torch import Tensor

from mettle.perturb import Draws
from mettle.typed import PrimeColor

_TERMS = 25  # of a series that are summed by one recurrence: rounding grows with their square


def color(images: Tensor, draws: Draws, options: PrimeColor, *counters: int) -> Tensor:
    """Each channel x of each image becomes x + sum of b_k sin(pi k x) over some frequencies k, clamped to [0, 1].

    Modas et al. 2022 (arXiv:2112.13547), section 3.1 and appendix. Per image, the largest frequency is uniform in
    1..`cut`, the first one uniform up to the largest, and the variance uniform in [0, `variance`]. Per image and
    channel, b_k is normal with this variance, for `bandwidth` consecutive frequencies, as far as the largest one.

    Parameters
    ----------
    images : (n, 3, h, w) in [0, 1]
    draws : random numbers of the images
    options : `cut`, `variance`, and `bandwidth`; None for all frequencies from 1 to the largest
    counters : tell draws for one image apart
    """
    cut, bandwidth = options["cut"], options["bandwidth"]
    largest, start, variance = draws.uniform((3,), "color", *counters).T
    largest = 1 + (largest.double() * cut).long()
    first = torch.ones_like(largest) if bandwidth is None else 1 + (start.double() * largest).long()
    b = draws.normal((images.shape[1], cut if bandwidth is None else bandwidth), "color.b", *counters)
    b = b * (variance * options["variance"]).sqrt().view(-1, 1, 1)
    frequency = first[:, None] + torch.arange(b.shape[2], device=b.device)
    b = b * (frequency <= largest[:, None])[:, None]
    return (images + sines(images, b, first)).clamp_(0, 1)


def sines(x: Tensor, b: Tensor, first: Tensor) -> Tensor:
    """sum_j b_j sin(pi (first + j) x), by the recurrence of Clenshaw (1955): two sines for many terms.

    Parameters
    ----------
    x : (n, c, h, w)
    b : (n, c, terms)
    first : (n,) lowest frequencies
    """
    angle = math.pi * x
    double_cosine = 2 * angle.cos()
    total = torch.zeros_like(x)
    for at in range(0, b.shape[2], _TERMS):
        last = before = torch.zeros_like(x)
        for term in reversed(b[:, :, at : at + _TERMS].unbind(2)):
            last, before = torch.addcmul(term[:, :, None, None] - before, double_cosine, last), last
        lowest = (first + at).view(-1, 1, 1, 1)
        total += last * (lowest * angle).sin() - before * ((lowest - 1) * angle).sin()
    return total
