"""
Scenes: handwritten digits in varying place, size and tint on crops of photographs, with smaller digits that distract.

Generated, so no download: the digits are those of `digits`, the photographs the two that scikit-learn carries.
Training and test images share neither a digit nor a part of a photograph. Every image follows from (seed, split,
index) alone, whatever is generated before it. The class is that of the large digit; a distractor never has the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mettle.data import digits
from mettle.data.item import Item, check_classes, png

COUNTS = {"train": 4000, "test": 1000}
_TRAIN_SHARE = 0.75  # of each photograph's width, from the left


@dataclass(frozen=True)
class Difficulty:
    """
    How hard a scene is. Ranges are (low, high), both ends included, drawn evenly per image.

    Attributes
    ----------
    size : edge of the image, pixels
    crop : edge of the piece of photograph behind it, pixels of the photograph; smaller is smoother, easier
    brightness : factor on the photograph; darker is easier, since digits are light
    digit : edge of the digit's square, pixels; larger is easier
    tint : range of each colour channel of a digit, [0, 1]; darker is harder
    opacity : of the digit's ink, [0, 1]; less is harder
    distractors : number of other digits
    distractor : edge of a distractor's square, pixels; nearer to `digit` is harder
    distractor_opacity : of its ink, [0, 1]
    hidden : largest share of the digit that one distractor may cover; one that would cover more goes behind it
    """

    size: int = 32
    crop: tuple[int, int] = (32, 160)
    brightness: tuple[float, float] = (0.5, 0.8)
    digit: tuple[int, int] = (20, 28)
    tint: tuple[float, float] = (0.6, 1.0)
    opacity: tuple[float, float] = (0.8, 1.0)
    distractors: tuple[int, int] = (1, 2)
    distractor: tuple[int, int] = (9, 13)
    distractor_opacity: tuple[float, float] = (0.5, 0.9)
    hidden: float = 0.2


@dataclass(frozen=True)
class _Layer:
    """One digit in its place: ink is uint8 (size, size), 255 where it covers; tint is RGB in [0, 1]."""

    label: int
    ink: np.ndarray
    tint: np.ndarray
    opacity: float

    @property
    def shape(self) -> np.ndarray:
        """Pixels at least half covered, bool (size, size)."""
        return self.ink >= 128


def read(source: Path | None, split: str, classes: int, seed: int) -> Iterator[Item]:
    """The scenes of one split, 4,000 for train or 1,000 for test, classes in turn; `source` changes nothing.

    Raises
    ------
    ValueError
        If `classes` is not 10.
    """
    check_classes(len(digits.CLASS_NAMES), classes, "data set 'scenes'")
    return (scene(seed, split, index) for index in range(COUNTS[split]))


def scene(seed: int, split: str, index: int, difficulty: Difficulty = Difficulty()) -> Item:
    """One scene as RGB PNG with its objects: class, box, depth order and visible mask of every digit that is seen."""
    rng = np.random.default_rng([seed, digits.SPLITS.index(split), index])
    label = index % len(digits.CLASS_NAMES)
    background = _background(rng, split, difficulty)
    layers = _layers(rng, split, label, difficulty)
    source = f"scenes seed {seed} item {index}"
    return Item(png(_compose(background, layers)), label, digits.CLASS_NAMES[label], source, _objects(layers))


def _layers(rng: np.random.Generator, split: str, label: int, difficulty: Difficulty) -> list[_Layer]:
    """All digits of a scene, nearest first."""
    d = difficulty
    main = _digit(rng, split, [label], d.digit, d.opacity, d, inside=True)
    others = [other for other in range(len(digits.CLASS_NAMES)) if other != label]
    front, back = [], []
    for _ in range(rng.integers(*d.distractors, endpoint=True)):
        layer = _digit(rng, split, others, d.distractor, d.distractor_opacity, d, inside=False)
        covered = (layer.shape & main.shape).sum() / main.shape.sum()
        (front if covered <= d.hidden else back).append(layer)
    return [*front, main, *back]


def _digit(
    rng: np.random.Generator,
    split: str,
    classes: list[int],
    edges: tuple[int, int],
    opacity: tuple[float, float],
    difficulty: Difficulty,
    *,
    inside: bool,
) -> _Layer:
    """One handwritten digit of these classes, wholly inside the image or with up to half of its edge outside."""
    pool = digits.indices(split)
    index = int(rng.choice(pool[np.isin(digits.labels()[pool], classes)]))
    edge = int(rng.integers(*edges, endpoint=True))
    margin = 0 if inside else edge // 2
    x, y = rng.integers(-margin, difficulty.size - edge + margin, size=2, endpoint=True)
    canvas = np.zeros((difficulty.size + 2 * edge,) * 2, np.uint8)
    canvas[y + edge : y + 2 * edge, x + edge : x + 2 * edge] = digits.glyph(index, edge)
    ink = canvas[edge:-edge, edge:-edge]
    return _Layer(int(digits.labels()[index]), ink, rng.uniform(*difficulty.tint, size=3), rng.uniform(*opacity))


def _background(rng: np.random.Generator, split: str, difficulty: Difficulty) -> np.ndarray:
    """A darkened, perhaps mirrored crop of a photograph's part for this split, float (size, size, 3) in [0, 1]."""
    photo = _photographs()[rng.integers(len(_photographs()))]
    border = int(photo.width * _TRAIN_SHARE)
    left, right = (0, border) if split == "train" else (border, photo.width)
    edge = int(rng.integers(*difficulty.crop, endpoint=True))
    x = int(rng.integers(left, right - edge, endpoint=True))
    y = int(rng.integers(0, photo.height - edge, endpoint=True))
    # Cropped first: a filter that resizes a box of the whole photograph reads beyond it, into the other split's part.
    crop = photo.crop((x, y, x + edge, y + edge)).resize((difficulty.size,) * 2, Image.Resampling.BICUBIC)
    pixels = np.asarray(crop, np.float64) / 255 * rng.uniform(*difficulty.brightness)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _compose(background: np.ndarray, layers: list[_Layer]) -> np.ndarray:
    """The layers laid over the background from the farthest to the nearest, uint8 (size, size, 3)."""
    image = background
    for layer in reversed(layers):
        alpha = layer.opacity * layer.ink[..., None] / 255
        image = alpha * layer.tint + (1 - alpha) * image
    return np.round(image * 255).astype(np.uint8)


def _objects(layers: list[_Layer]) -> list[dict]:
    """Every digit of which at least one pixel is seen, nearest first, with the box and mask of what is seen."""
    found: list[dict] = []
    taken = np.zeros_like(layers[0].shape)
    for layer in layers:
        visible = layer.shape & ~taken
        taken |= layer.shape
        if visible.any():
            rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
            box = {"x0": columns[0], "y0": rows[0], "x1": columns[-1] + 1, "y1": rows[-1] + 1}
            place = {"label": layer.label} | {key: int(value) for key, value in box.items()}
            found.append(place | {"depth": len(found), "mask": png(visible)})
    return found


@cache
def _photographs() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(photo) for photo in load_sample_images().images]
