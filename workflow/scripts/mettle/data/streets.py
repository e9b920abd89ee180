"""
Streets: handwritten digits at a distance, for segmentation, detection, depth and classification at once.

Generated, so no download: digits and photographs are those of `scenes`. Size falls with distance, and nearer
digits hide farther ones; the photograph is behind all of them. Training and test images share neither a digit nor a
part of a photograph. Every image depends only on (seed, split, index).

- The label of an image is the class of the nearest digit; classes come in turn.
- The label map has the class of the nearest digit at each pixel, and `BACKGROUND` where there is none.
- The depth map has the distance of that digit, and that of the photograph where there is none.
- The objects are the digits of which enough is visible, nearest first, with the box and mask of what is visible.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mettle.data import collage, digits, masks
from mettle.data.collage import Layer
from mettle.data.item import Item, Object, Targets, check_classes, png
from mettle.data.targets import steps

# Images of `more` are further ones for training, of the same digits and photographs: networks are trained on them whose
# features are then evaluated on `train`.
COUNTS = {"train": 2000, "test": 300, "more": 2000}
SPLITS = tuple(COUNTS)
TASKS = ("classification", "segmentation", "depth", "detection")
BACKGROUND = len(digits.CLASS_NAMES)  # its class in label maps


@dataclass(frozen=True)
class Difficulty:
    """
    How hard a street is. Ranges are (low, high), both ends included, drawn uniformly per image or digit.

    Attributes
    ----------
    size : edge of the image, pixels
    crop : edge of the piece of photograph behind it, pixels of the photograph; smaller is smoother, easier
    brightness : factor on the photograph; darker is easier, since digits are light
    count : number of digits; more of them hide each other more
    distance : of a digit, metres
    edge : edge of a digit's square at the near and the far end of `distance`, pixels; larger is easier
    background : distance of the photograph, metres
    outside : largest part of a digit's edge that may be outside the image
    tint : range of each colour channel of a digit, [0, 1]; darker is harder
    opacity : of a digit's ink, [0, 1]; less is harder
    visible : fewest visible pixels of a digit that is an object
    """

    size: int = 96
    crop: tuple[int, int] = (48, 160)
    brightness: tuple[float, float] = (0.4, 0.7)
    count: tuple[int, int] = (2, 5)
    distance: tuple[float, float] = (1.0, 9.0)
    edge: tuple[int, int] = (56, 14)
    background: float = 10.0
    outside: float = 1 / 6
    tint: tuple[float, float] = (0.6, 1.0)
    opacity: tuple[float, float] = (0.8, 1.0)
    visible: int = 8


def read(source: Path | None, split: str, classes: int, seed: int) -> Iterator[Item]:
    """The streets of one split, 2,000 for train and for more, 300 for test; `source` changes nothing.

    Raises
    ------
    ValueError
        If `classes` is not 10.
    """
    check_classes(len(digits.CLASS_NAMES), classes, "data set 'streets'")
    return (street(seed, split, index) for index in range(COUNTS[split]))


def street(seed: int, split: str, index: int, difficulty: Difficulty = Difficulty()) -> Item:
    """One street as RGB PNG, with its label and all its targets."""
    d = difficulty
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    split = "train" if split == "more" else split
    label = index % len(digits.CLASS_NAMES)
    background = collage.draw_background(rng, split, d.size, d.crop, d.brightness)
    distances = np.sort(rng.uniform(*d.distance, size=rng.integers(*d.count, endpoint=True)))
    every = list(range(len(digits.CLASS_NAMES)))
    layers = [_digit(rng, split, every if place else [label], metres, d) for place, metres in enumerate(distances)]
    source = f"streets seed {seed} item {index}"
    targets = _targets(layers, distances, d)
    return Item(png(collage.compose(background, layers)), label, digits.CLASS_NAMES[label], source, targets=targets)


def names(source: Path | None, split: str) -> list[str]:
    """Names of the classes of label maps, of which the first ten are those of labels and objects."""
    return [*digits.CLASS_NAMES, "background"]


def edge_at(metres: float, difficulty: Difficulty) -> int:
    """Edge of a digit's square at a distance, pixels: between its ends, equal distances are equal factors."""
    (near, far), (large, small) = difficulty.distance, difficulty.edge
    return round(large * (small / large) ** ((metres - near) / (far - near)))


def _digit(rng: np.random.Generator, split: str, classes: list[int], metres: float, difficulty: Difficulty) -> Layer:
    digit = collage.draw_digit(rng, split, classes)
    edge = edge_at(metres, difficulty)
    ink = collage.draw_ink(rng, digit, edge, difficulty.size, int(edge * difficulty.outside))
    tint, opacity = rng.uniform(*difficulty.tint, size=3), rng.uniform(*difficulty.opacity)
    return Layer(int(digits.labels()[digit]), ink, tint, opacity)


def _targets(layers: list[Layer], distances: np.ndarray, difficulty: Difficulty) -> Targets:
    labels = np.full((difficulty.size,) * 2, BACKGROUND, np.uint8)
    metres = np.full(labels.shape, difficulty.background)
    objects = []
    for layer, distance, mask in zip(layers, distances, collage.visible(layers), strict=True):
        labels[mask], metres[mask] = layer.label, distance
        if (area := int(mask.sum())) >= difficulty.visible:
            objects.append(Object(layer.label, collage.box(mask), area, masks.encode(mask)))
    return Targets(labels, steps(metres), objects=objects)
