"""
Scenes: handwritten digits in varying place, size and tint on crops of photographs, with smaller digits as distractors.

Generated, so no download: the digits are those of `digits`, the photographs are the two of scikit-learn.
Training and test images share neither a digit nor a part of a photograph. Every image depends only on (seed,
split, index). The class is that of the large digit; a distractor never has the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mettle.data import collage, digits
from mettle.data.collage import Layer
from mettle.data.item import Item, check_classes, png

COUNTS = {"train": 4000, "test": 1000}


@dataclass(frozen=True)
class Difficulty:
    """
    How hard a scene is. Ranges are (low, high), both ends included, drawn uniformly per image.

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
    hidden : largest fraction of the digit that one distractor may cover; one that would cover more goes behind it
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
    background = collage.draw_background(rng, split, difficulty.size, difficulty.crop, difficulty.brightness)
    layers = _layers(rng, split, label, difficulty)
    source = f"scenes seed {seed} item {index}"
    return Item(png(collage.compose(background, layers)), label, digits.CLASS_NAMES[label], source, _objects(layers))


def _layers(rng: np.random.Generator, split: str, label: int, difficulty: Difficulty) -> list[Layer]:
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
) -> Layer:
    """One handwritten digit of these classes, wholly inside the image or with up to half of its edge outside."""
    index = collage.draw_digit(rng, split, classes)
    edge = int(rng.integers(*edges, endpoint=True))
    ink = collage.draw_ink(rng, index, edge, difficulty.size, 0 if inside else edge // 2)
    return Layer(int(digits.labels()[index]), ink, rng.uniform(*difficulty.tint, size=3), rng.uniform(*opacity))


def _objects(layers: list[Layer]) -> list[dict]:
    """Every digit of which at least one pixel is seen, nearest first, with the box and mask of what is seen."""
    seen: list[dict] = []
    for layer, mask in zip(layers, collage.visible(layers), strict=True):
        if mask.any():
            place = {"label": layer.label} | dict(zip(("x0", "y0", "x1", "y1"), collage.box(mask), strict=True))
            seen.append(place | {"depth": len(seen), "mask": png(mask)})
    return seen
