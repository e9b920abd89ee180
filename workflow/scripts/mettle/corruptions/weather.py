"""Weather: snow, frost, fog, and spatter on the lens."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from mettle.corruptions.blur import dragged, grid, smoothed
from mettle.corruptions.kernels import add_zoomed, resample, whiten

Image = np.ndarray  # float32 (h, w, 3) in [0, 1]
_WATER = np.float32([175, 238, 238]) / 255
_MUD = np.float32([63, 42, 20]) / 255


def snow(
    image: Image,
    rng: np.random.Generator,
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    kept: float,
    *,
    rounded_first: bool = False,
) -> Image:
    """Flakes that fall, and the image whitened.

    Parameters
    ----------
    mean, spread : of the normal noise that flakes are made of
    zoom : factor by which the noise is enlarged
    threshold : noise below it is no flake
    radius, sigma : of the motion blur
    kept : weight of the image; the rest is a brighter, grey one
    rounded_first : flakes are rounded to 8 bits before they are blurred, too, as in ImageNet-C
    """
    shape = image.shape[:2]
    noise = np.float32(mean) + np.float32(spread) * rng.standard_normal(shape, np.float32)
    grown = np.zeros((*shape, 3), np.float32)
    add_zoomed(np.repeat(noise[..., None], 3, axis=2), *(grid(side, zoom, True) for side in shape), grown)
    flakes = np.where(grown[..., 0] < threshold, np.float32(0), np.clip(grown[..., 0], 0, 1))
    flakes = _eight_bits(flakes) if rounded_first else flakes
    flakes = _eight_bits(dragged(flakes, radius, sigma, rng.uniform(-135, -45)))
    white = np.empty_like(image)
    whiten(image, flakes, np.float32(kept), white)
    return white


def _eight_bits(image: np.ndarray) -> np.ndarray:
    """Rounded to the grey levels of 8 bits."""
    return np.rint(image * 255) / np.float32(255)


def frost(
    image: Image,
    rng: np.random.Generator,
    kept: float,
    weight: float,
    *,
    textures: Sequence[Image],
    scale: float = 1.1,
) -> Image:
    """The image and a random piece of one of several textures, each with a weight.

    The texture is enlarged by `scale`, and if the image is larger than it, by as much more as the image needs.
    """
    texture = textures[rng.integers(len(textures))]
    (height, width), (rows, columns) = image.shape[:2], texture.shape[:2]
    needed = max(height / rows, width / columns)
    factor = max(scale * max(needed, 1), needed)
    size = math.ceil(columns * factor), math.ceil(rows * factor)
    top, left = rng.integers(size[1] - height + 1), rng.integers(size[0] - width + 1)
    piece = np.empty_like(image)
    down, across = _taps(rows, size[1], top, height), _taps(columns, size[0], left, width)
    resample(texture, *down, *across, piece)
    return np.float32(kept) * image + np.float32(weight) * np.clip(piece, 0, 1)


def _taps(side: int, there: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and weights of cubic interpolation, as OpenCV enlarges an axis, each (count, 4).

    Parameters
    ----------
    side, there : pixels before and after
    first, count : those after it that are wanted
    """
    places = (np.arange(first, first + count) + 0.5) * (side / there) - 0.5
    below = np.floor(places)
    distance = abs(places[:, None] - below[:, None] - np.arange(-1, 3))
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    pixels = np.clip(below[:, None] + np.arange(-1, 3), 0, side - 1).astype(np.int64)
    return pixels, np.where(distance <= 1, near, far).astype(np.float32)


def fog(image: Image, rng: np.random.Generator, amount: float, decay: float, *, least: int = 1) -> Image:
    """A fractal cloud added, and the brightest pixel kept what it was.

    The cloud's side is the next power of two, and at least `least`: 256 for every image of ImageNet-C.
    """
    height, width = image.shape[:2]
    side = max(1 << (max(height, width) - 1).bit_length(), least)
    brightest = image.max()
    cloud = plasma(side, decay, rng)[:height, :width, None]
    return (image + np.float32(amount) * cloud) * (brightest / (brightest + np.float32(amount)))


def plasma(side: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Fractal heights in [0, 1], float32 (side, side), by the diamond-square algorithm on a torus.

    Parameters
    ----------
    side : a power of two
    decay : factor by which the noise falls from one scale to the next
    """
    heights = np.zeros((side, side), np.float32)
    step, spread = side, 100.0

    def middle(total: np.ndarray) -> np.ndarray:
        noise = rng.random(total.shape, np.float32) * np.float32(2) - np.float32(1)
        return total / 4 + np.float32(spread**2) * noise

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = middle(pairs + np.roll(pairs, -1, axis=1))
        centres = heights[half::step, half::step]
        beside = centres + np.roll(centres, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = middle(beside)
        above = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = middle(above)
        step, spread = half, spread / decay
    heights -= heights.min()
    return heights / heights.max()


def spatter(
    image: Image,
    rng: np.random.Generator,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    strength: float,
    mud: int,
) -> Image:
    """Drops of water, or specks of mud.

    Parameters
    ----------
    mean, spread, sigma : of the normal noise that drops are made of, and of its blur in pixels
    threshold : noise below it is no drop
    strength : of water; of mud, the blur of its edges in pixels
    mud : 1 for mud, 0 for water
    """
    noise = np.float32(mean) + np.float32(spread) * rng.standard_normal(image.shape[:2], np.float32)
    liquid = smoothed(noise, sigma)
    liquid[liquid < threshold] = 0
    if mud:
        specks = smoothed((liquid > threshold).astype(np.float32), strength)
        specks[specks < 0.8] = 0
        return image * (1 - specks[..., None]) + specks[..., None] * _MUD
    drops = _drops(np.clip(liquid * 255, 0, 255).astype(np.uint8))
    return image + np.float32(strength) * drops[..., None] * _WATER


def _drops(liquid: np.ndarray) -> np.ndarray:
    """Drops with a bright and a dark edge, float32 (h, w), at most 1."""
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    near = cv2.equalizeHist(cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8))
    lit = cv2.filter2D(near, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32))
    found = liquid.astype(np.float32) * cv2.blur(lit, (3, 3))
    return found / max(found.max(), np.float32(1))
