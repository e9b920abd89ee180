"""
Textures of frost: ferns of ice on a pane, drawn here, so that the corruption needs no pictures of others.

The published textures (Hendrycks & Dietterich 2019) come from a folder of the user's: `read`.
"""

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np

_SIDES = (600, 900)  # height and width, those of the largest published texture
_COUNT = 6
_COLD = np.float32([0.31, 0.58, 0.65])  # mean colour of the published ones
_ENDINGS = (".png", ".jpg", ".jpeg")


@cache
def textures() -> list[np.ndarray]:
    """Six textures, float32 (h, w, 3) in [0, 1]."""
    return [_drawn(number) for number in range(_COUNT)]


def read(folder: str | Path) -> list[np.ndarray]:
    """Textures of a folder in the order of their names, float32 (h, w, 3) in [0, 1].

    Raises
    ------
    ValueError
        If there is none, or a file cannot be read.
    """
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in _ENDINGS)
    if not paths:
        raise ValueError(f"{folder} holds no textures of frost: put frost1.png and so on there")
    found = [(path, cv2.imread(str(path))) for path in paths]
    if broken := [path for path, pixels in found if pixels is None]:
        raise ValueError(f"{broken[0]} cannot be read as an image")
    return [pixels[..., ::-1].astype(np.float32) / 255 for _, pixels in found]


def _drawn(number: int) -> np.ndarray:
    """Ferns that grow from the edges, over clouds of finer crystals, brighter where they are dense."""
    rng = np.random.default_rng([20190303, number])
    height, width = _SIDES
    ferns = np.zeros(_SIDES, np.uint8)
    for _ in range(18 + 6 * number):
        side = rng.integers(4)
        along = rng.uniform(0, (height, width)[side % 2])
        start = [(0, along), (along, 0), (width, along), (along, height)][side]
        inwards = (0, math.pi / 2, math.pi, -math.pi / 2)[side] + rng.normal(0, 0.5)
        _grow(ferns, rng, start, inwards, rng.uniform(0.3, 0.9) * height, 3)
    lines = ferns.astype(np.float32) / 255
    glow = sum(cv2.GaussianBlur(lines, (0, 0), sigma) * weight for sigma, weight in ((1, 1.0), (4, 1.2), (16, 1.5)))
    grains = cv2.GaussianBlur(rng.standard_normal(_SIDES, np.float32), (0, 0), 1.2)
    clouds = cv2.GaussianBlur(rng.standard_normal(_SIDES, np.float32), (0, 0), 40)
    light = glow + 0.12 * grains / grains.std() + 0.25 * clouds / clouds.std()
    light = (light - light.mean()) / light.std()
    return np.clip(_COLD + np.float32(0.16) * light[..., None], 0, 1)


def _grow(canvas: np.ndarray, rng: np.random.Generator, start: tuple, angle: float, length: float, depth: int) -> None:
    """A stem with branches to both sides, each a smaller stem, drawn on an 8-bit canvas."""
    x, y = start
    step = max(length / 24, 3.0)
    for count in range(int(length / step)):
        angle += rng.normal(0, 0.06)
        to = x + step * math.cos(angle), y + step * math.sin(angle)
        cv2.line(canvas, (round(x), round(y)), (round(to[0]), round(to[1])), 255 - 40 * (3 - depth), depth, cv2.LINE_AA)
        x, y = to
        if depth > 1 and count % 2:
            for side in (-1, 1):
                _grow(canvas, rng, to, angle + side * rng.uniform(0.7, 1.1), (length - count * step) * 0.35, depth - 1)
