"""Noise: independent values at every pixel and channel."""

from functools import cache

import numpy as np
from scipy.stats import poisson

from mettle.corruptions.kernels import poisson_counts

Image = np.ndarray  # float32 (h, w, 3) in [0, 1]


def gaussian_noise(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Plus normal noise of this standard deviation."""
    return image + np.float32(sigma) * rng.standard_normal(image.shape, np.float32)


def speckle_noise(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Plus normal noise in proportion to the pixel."""
    return image + image * (np.float32(sigma) * rng.standard_normal(image.shape, np.float32))


def impulse_noise(image: Image, rng: np.random.Generator, share: float) -> Image:
    """This share of the values replaced, by 0 or by 1 with equal probability."""
    draws = rng.random(image.shape, np.float32)
    return np.where(draws < share / 2, np.float32(0), np.where(draws < share, np.float32(1), image))


def shot_noise(image: Image, rng: np.random.Generator, rate: float) -> Image:
    """Counts of a Poisson distribution whose mean is `rate` at the brightest pixel, divided by `rate`."""
    levels = np.rint(image * 255).astype(np.uint8).ravel()
    counts = np.empty(len(levels), np.float32)
    poisson_counts(levels, rng.random(len(levels)), *_distributions(rate), counts)
    return (counts / np.float32(rate)).reshape(image.shape)


@cache
def _distributions(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Distribution functions of the counts of 256 grey levels, and where a search in each of 256 parts begins."""
    means = np.arange(256)[:, None] / 255 * rate
    table = poisson.cdf(np.arange(int(poisson.isf(1e-13, rate)) + 1), means)
    table[:, -1] = 1
    parts = np.arange(256) / 256
    return table, np.stack([np.searchsorted(row, parts, side="right") for row in table])
