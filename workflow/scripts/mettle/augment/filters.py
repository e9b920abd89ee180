"""Random filters, the second primitive of PRIME."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mettle.perturb import Draws
from mettle.typed import PrimeFilter


def random_filter(images: Tensor, draws: Draws, options: PrimeFilter, *counters: int) -> Tensor:
    """Each image convolved with a kernel of its own, the identity plus noise, then clamped to [0, 1].

    Modas et al. 2022 (arXiv:2112.13547), section 3.1. All channels have the same kernel; outside the image is 0. The
    standard deviation of the noise is uniform in [0, `sigma`].

    Parameters
    ----------
    images : (n, 3, h, w) in [0, 1]
    draws : random numbers of the images
    options : `radius` of the kernel in pixels, `sigma`, and `off_centre`, for the kernel of PRIME's code, whose
        identity is one pixel below and to the right of the centre: images move by one pixel
    counters : tell draws for one image apart
    """
    radius = options["radius"]
    side, centre = 2 * radius + 1, radius + options["off_centre"]
    sigma = options["sigma"] * draws.uniform((1, 1), "filter.sigma", *counters)
    kernels = sigma * draws.normal((side, side), "filter.noise", *counters)
    kernels[:, centre, centre] += 1
    return convolved(images, kernels).clamp_(0, 1)


def convolved(images: Tensor, kernels: Tensor) -> Tensor:
    """Images (n, c, h, w), each correlated with its own kernel (n, k, k) in all channels; zeros outside.

    A sum of shifted images: convolutions with a kernel per image are slower on a CPU for few images.
    """
    height, width = images.shape[2:]
    side = kernels.shape[1]
    padded, total = F.pad(images, [side // 2] * 4), torch.zeros_like(images)
    for y in range(side):
        for x in range(side):
            total.addcmul_(padded[:, :, y : y + height, x : x + width], kernels[:, y, x].view(-1, 1, 1, 1))
    return total
