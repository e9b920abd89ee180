"""Random smooth deformations, the third primitive of PRIME: diffeomorphisms of maximal entropy."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from mettle.augment.warp import warp
from mettle.perturb import Draws
from mettle.typed import PrimeDiffeomorphism


def diffeomorphism(images: Tensor, draws: Draws, options: PrimeDiffeomorphism, *counters: int) -> Tensor:
    """Each image (n, 3, h, w) warped by a displacement field of its own; see `displacement` for the parameters."""
    return warp(images, displacement(images.shape[2:], draws, options, *counters))


def displacement(size: tuple[int, int], draws: Draws, options: PrimeDiffeomorphism, *counters: int) -> Tensor:
    """Random displacement fields, Petrini et al. 2021 (arXiv:2105.02468), section 2 and appendix.

    On the unit square each component is sqrt(T) sum C_ij sin(i pi x) sin(j pi y) over i^2 + j^2 < (cut + 1/2)^2, with
    C_ij normal of variance 1 / (i^2 + j^2): it is 0 on the border. In pixels it is that times width or height.

    Parameters
    ----------
    size : height and width of the images, at least 3 pixels
    draws : random numbers of the images
    options : `cut_min`, `cut_max`, `alpha`. Per image, cut is drawn by Beta(1/2, 1/2) between `cut_min` and a largest
        one, which is uniform up to `cut_max`; T is drawn likewise between a typical displacement of half a pixel
        and `alpha` times the largest T without folds (half a pixel where that is more)
    counters : tell draws for one image apart

    Returns
    -------
    Tensor
        (n, 2, h, w), along x and along y in pixels: the warped image at p is the image at p plus this.

    Notes
    -----
    Images need not be square: fields are those of the unit square. A grid has no frequencies from its number of pixels
    on, so cut is less than the shorter side; T belongs to that cut, and typical displacements stay as they are.
    """
    cut = _cuts(size, draws.uniform((2,), "diffeo.cut", *counters), options)
    low, high = temperatures(size, cut)
    share = _arcsine(draws.uniform((), "diffeo.temperature", *counters))
    temperature = torch.lerp(low, torch.maximum(low, options["alpha"] * high), share)
    fields = [_field(size, cut, draws, f"diffeo.{axis}", counters) for axis in "xy"]
    scale = temperature.sqrt()[:, None] * temperature.new_tensor([size[1], size[0]])
    return torch.stack(fields, 1) * scale[:, :, None, None]


def temperatures(size: tuple[int, int], cut: Tensor) -> tuple[Tensor, Tensor]:
    """T of a typical displacement of half a pixel, and largest T without folds, for cuts (n,)."""
    log = cut.log()
    return 1 / (math.pi * math.prod(size) * log), 4 / (math.pi**3 * cut**2 * log)


def _cuts(size: tuple[int, int], uniform: Tensor, options: PrimeDiffeomorphism) -> Tensor:
    """Cuts (n,), whole numbers from `cut_min` on, from uniform numbers (n, 2)."""
    least, uniform = options["cut_min"], uniform.double()
    largest = least + 1 + (uniform[:, 0] * (options["cut_max"] - least)).floor()
    cut = (least + _arcsine(uniform[:, 1]) * (largest + 1 - least)).floor().minimum(largest)
    return cut.clamp(max=_largest(size)).float()


def _arcsine(uniform: Tensor) -> Tensor:
    """Beta(1/2, 1/2), the arcsine law, from uniform numbers in [0, 1)."""
    return (math.pi / 2 * uniform).sin().square()


def _field(size: tuple[int, int], cut: Tensor, draws: Draws, purpose: str, counters: tuple[int, ...]) -> Tensor:
    """Sums of modes (n, h, w) at T = 1."""
    most = int(cut.max())
    radius, i, j = _modes(_largest(size), cut.device)
    count = int((radius < most + 0.5).sum())
    values = draws.normal((count,), purpose, *counters) / radius[:count] * (radius[:count] < cut[:, None] + 0.5)
    coefficients = values.new_zeros(len(cut), most, most)
    coefficients[:, j[:count], i[:count]] = values
    rows, columns = (_waves(side, _largest(size), cut.device)[:, :most] for side in size)
    return rows @ coefficients @ columns.T


def _largest(size: tuple[int, int]) -> int:
    """Largest cut of a grid."""
    return max(2, min(size) - 1)


@lru_cache(16)
def _modes(cut: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Radius and frequencies along x and y, counted from 0, of all modes below a cut.

    By ascending radius: the modes of smaller cuts come first, so that an image draws the same numbers in any batch.
    """
    i, j = torch.cartesian_prod(torch.arange(1, cut + 1), torch.arange(1, cut + 1)).T
    squared = i**2 + j**2
    order = (squared * (cut + 1) + i).argsort()
    order = order[squared[order] < (cut + 0.5) ** 2]
    found = squared.double().sqrt().float(), i - 1, j - 1
    return tuple(part[order].to(device) for part in found)


@lru_cache(16)
def _waves(side: int, most: int, device: torch.device) -> Tensor:
    """sin(k pi x) at the pixels of a side and for k from 1: (side, most)."""
    x, k = torch.linspace(0, 1, side, dtype=torch.float64), torch.arange(1, most + 1)
    return (math.pi * x[:, None] * k).sin().float().to(device)
