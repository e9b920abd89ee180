"""Collages: handwritten digits on crops of photographs, which the generated data sets have in common.

The digits are those of `digits`, the photographs are the two of scikit-learn. The left three quarters of each
photograph belong to the training images, the rest to the test images, so that no pixel is in both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from mettle.data import digits

_TRAIN_SHARE = 0.75  # of each photograph's width, from the left


@dataclass(frozen=True)
class Layer:
    """One digit in its place: ink is uint8 (size, size), 255 where it covers; tint is RGB in [0, 1]."""

    label: int
    ink: np.ndarray
    tint: np.ndarray
    opacity: float

    @property
    def shape(self) -> np.ndarray:
        """Pixels at least half covered, bool (size, size)."""
        return self.ink >= 128


def draw_digit(rng: np.random.Generator, split: str, classes: list[int]) -> int:
    """Index of one handwritten digit of a split, drawn from those of these classes."""
    pool = digits.indices(split)
    return int(rng.choice(pool[np.isin(digits.labels()[pool], classes)]))


def draw_ink(rng: np.random.Generator, digit: int, edge: int, size: int, margin: int) -> np.ndarray:
    """The ink of a digit on an empty image, uint8 (size, size), in a uniformly drawn place.

    Parameters
    ----------
    rng : draws the place
    digit : index into scikit-learn's digits
    edge : edge of the digit's square, pixels
    size : edge of the image, pixels
    margin : number of pixels by which the square may leave the image on each side
    """
    x, y = rng.integers(-margin, size - edge + margin, size=2, endpoint=True)
    canvas = np.zeros((size + 2 * edge,) * 2, np.uint8)
    canvas[y + edge : y + 2 * edge, x + edge : x + 2 * edge] = digits.glyph(digit, edge)
    return canvas[edge:-edge, edge:-edge]


def draw_background(
    rng: np.random.Generator, split: str, size: int, crop: tuple[int, int], brightness: tuple[float, float]
) -> np.ndarray:
    """A darkened, perhaps mirrored crop of the part of a photograph for this split, float (size, size, 3) in [0, 1].

    Parameters
    ----------
    rng : draws the photograph, the crop, its brightness, and whether it is mirrored
    split : train or test
    size : edge of the result, pixels
    crop : shortest and longest edge of the crop, pixels of the photograph
    brightness : lowest and highest factor on its values
    """
    photo = photographs()[rng.integers(len(photographs()))]
    border = int(photo.width * _TRAIN_SHARE)
    left, right = (0, border) if split == "train" else (border, photo.width)
    edge = int(rng.integers(*crop, endpoint=True))
    x = int(rng.integers(left, right - edge, endpoint=True))
    y = int(rng.integers(0, photo.height - edge, endpoint=True))
    # Cropped first: resizing a box of the photograph would read pixels beyond it, from the part of the other split.
    piece = photo.crop((x, y, x + edge, y + edge)).resize((size,) * 2, Image.Resampling.BICUBIC)
    pixels = np.asarray(piece, np.float64) / 255 * rng.uniform(*brightness)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def compose(background: np.ndarray, layers: Sequence[Layer]) -> np.ndarray:
    """The layers, nearest first, laid over the background: uint8 (size, size, 3)."""
    image = background
    for layer in reversed(layers):
        alpha = layer.opacity * layer.ink[..., None] / 255
        image = alpha * layer.tint + (1 - alpha) * image
    return np.round(image * 255).astype(np.uint8)


def visible(layers: Sequence[Layer]) -> Iterator[np.ndarray]:
    """The visible part of each layer's shape, bool (size, size), nearest first."""
    covered = np.zeros_like(layers[0].shape)
    for layer in layers:
        yield layer.shape & ~covered
        covered |= layer.shape


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box x0, y0, x1, y1 around a mask with at least one pixel: columns [x0, x1), rows [y0, y1)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@cache
def photographs() -> list[Image.Image]:
    """The two photographs of scikit-learn, RGB, 640 x 427 pixels."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(photo) for photo in load_sample_images().images]
