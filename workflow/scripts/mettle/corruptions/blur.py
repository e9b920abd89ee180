"""Blur: out of focus, through frosted glass, in motion, while zooming."""

import math
from functools import lru_cache

import cv2
import numpy as np

from mettle.corruptions.kernels import add_shifted, add_zoomed, convolve_symmetric, shuffle

Image = np.ndarray  # float32 (h, w, 3) in [0, 1]


def smoothed(
    image: Image, sigma: float | tuple[float, float], truncate: float = 4.0, border: int = cv2.BORDER_REPLICATE
) -> Image:
    """Gaussian blur; `sigma` in pixels, or of rows and columns, and the kernel ends after `truncate` of them."""
    rows, columns = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    size = tuple(2 * int(truncate * side + 0.5) + 1 for side in (columns, rows))
    return cv2.GaussianBlur(image, size, sigmaX=columns, sigmaY=rows, borderType=border)


def gaussian_blur(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Blurred by a Gaussian of this standard deviation in pixels."""
    return smoothed(image, sigma)


def defocus_blur(image: Image, rng: np.random.Generator, radius: float, edge: float) -> Image:
    """Blurred by a disk of this radius in pixels, whose edge is a Gaussian of standard deviation `edge`."""
    disk = _disk(radius, edge)
    pad = len(disk) - 1
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    height, width, channels = image.shape
    total = np.zeros((height, width * channels), np.float32)
    convolve_symmetric(padded.reshape(len(padded), -1), disk, channels, total)
    return total.reshape(image.shape)


@lru_cache(maxsize=256)
def _disk(radius: float, edge: float) -> np.ndarray:
    """Lower right quarter of the disk, its axes included, float32 (reach + 1, reach + 1)."""
    reach, side = (8, 3) if radius <= 8 else (int(radius), 5)
    x, y = np.meshgrid(*(np.arange(-reach, reach + 1),) * 2)
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    smooth = cv2.GaussianBlur(disk / disk.sum(), (side, side), sigmaX=edge)
    quarter = smooth[reach:, reach:]
    used = 1 + int(np.flatnonzero(quarter[0] > 1e-12)[-1])
    return np.ascontiguousarray(quarter[:used, :used])


def glass_blur(
    image: Image, rng: np.random.Generator, sigma: float, most: int, rounds: int, *, copies: bool = False
) -> Image:
    """Blurred, pixels exchanged with neighbours up to `most` pixels away, blurred again.

    `copies` as published: there the exchange overwrites one of the two pixels, which makes the corruption stronger.
    """
    height, width, _ = image.shape
    mixed = np.floor(smoothed(image, sigma) * 255 + 1e-3).clip(0, 255).astype(np.uint8)
    shifts = rng.integers(-most, most, (rounds, height - 2 * most, width - 2 * most, 2), np.int8)
    shuffle(mixed, shifts, most, copies)
    return smoothed(mixed.astype(np.float32) / 255, sigma)


def motion_blur(image: Image, rng: np.random.Generator, radius: int, sigma: float) -> Image:
    """Blurred along a line at an angle of -45 to 45 degrees."""
    return dragged(image, radius, sigma, rng.uniform(-45, 45))


def dragged(image: Image, radius: int, sigma: float, angle: float) -> Image:
    """Sum of copies of an image, each a pixel further along a line, with weights that fall like half a Gaussian.

    Edges are repeated. Copies that would leave the image count as black.

    Parameters
    ----------
    image : float32 (h, w) or (h, w, channels)
    radius : the line is 2 radius + 1 pixels long
    sigma : standard deviation of the weights, pixels
    angle : degrees, from the columns towards the rows
    """
    height, width = image.shape[:2]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    rows, columns = (-np.ceil(steps * part - 0.5).astype(int) for part in (sine, cosine))
    out = np.flatnonzero((abs(rows) >= height) | (abs(columns) >= width))
    n = out[0] if len(out) else len(steps)
    pad = 2 * radius + 1
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    channels = image.size // (height * width)
    total = np.zeros((height, width * channels), np.float32)
    shares = (weights / weights.sum()).astype(np.float32)[:n]
    add_shifted(padded.reshape(len(padded), -1), shares, pad - rows[:n], (pad - columns[:n]) * channels, total)
    return total.reshape(image.shape)


def zoom_blur(image: Image, rng: np.random.Generator, step: float, count: int, *, corner: bool = False) -> Image:
    """Mean of the image and of copies zoomed by 1, 1 + step and so on, `count` of them, about the centre.

    `corner` as published for images that are not square: copies are cut at their upper left corner.
    """
    height, width = image.shape[:2]
    total = image.copy()
    for factor in 1 + step * np.arange(count):
        add_zoomed(image, *(grid(side, factor, corner) for side in (height, width)), total)
    return total / np.float32(count + 1)


@lru_cache(maxsize=256)
def grid(side: int, factor: float, corner: bool) -> np.ndarray:
    """Coordinates (side,) in an image at which a zoomed copy is read, whose ends lie on ends of the middle part."""
    part = math.ceil(side / factor)
    grown = round(part * factor)
    skipped = 0 if corner else (grown - side) // 2
    steps = (np.arange(side) + skipped) * ((part - 1) / max(grown - 1, 1))
    return ((side - part) // 2 + np.minimum(steps, part - 1)).astype(np.float32)
