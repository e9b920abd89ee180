"""Costs of a pass through a network and of a score of a measure, from two tables that benchmarks/costs.py writes."""

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

_IMAGES, _WIDTH, _POINTS, _TRIALS = 5_000, 1_024, 500, 10  # at which the measures were timed


@dataclass(frozen=True)
class Network:
    """Cost of one image in a network.

    Attributes
    ----------
    size : side of the image in pixels
    parameters : millions
    gflop : operations of a forward pass, in 1e9; a multiply-add counts as two
    features : width of the penultimate vector
    forward, gradient, training : MB of memory per image in a forward pass; with the backward pass to the image; with
        the backward pass to all weights
    """

    size: int
    parameters: float
    gflop: float
    features: int
    forward: float
    gradient: float
    training: float

    def at(self, size: int) -> "Network":
        """The same for an image of another size."""
        grows = ("gflop", "forward", "gradient", "training")
        return replace(self, size=size, **{key: getattr(self, key) * (size / self.size) ** 2 for key in grows})


@dataclass(frozen=True)
class Score:
    """Cost of comparing two models: seconds of one thread, and MB with the features of both."""

    seconds: float
    mb: float


@cache
def network(arch: str, size: int) -> Network:
    """Cost of an architecture on images of this size.

    One that is not in the table costs as much as the most expensive whose name begins with the same letters, else as
    much as the most expensive of all.
    """
    rows = _networks()
    family = [row for name, row in rows.items() if _letters(name) == _letters(arch)]
    candidates = [rows[arch]] if arch in rows else family or rows.values()
    return max((row.at(size) for row in candidates), key=lambda row: row.training)


def _letters(arch: str) -> str:
    return re.match("[a-z]*", arch.lower())[0]


def score(method: str, n: int, width: int, options: dict[str, Any]) -> Score:
    """Cost of a measure for these numbers of images and features; that of the most expensive if it is not in the table.

    Above the size at which measures were timed, time is assumed to grow with the square of the images and the cube of
    the features, and memory with the square of either; below, all fall in proportion. No measure grows faster.
    """
    rows = _measures()
    timed = rows.get(method) or Score(max(row.seconds for row in rows.values()), max(row.mb for row in rows.values()))
    seconds = timed.seconds * _grown(width / _WIDTH, 3)
    if points := options.get("points"):  # for so many points, whatever the number of images
        seconds *= _grown(points / _POINTS, 3) * options.get("trials", _TRIALS) / _TRIALS
    else:
        seconds *= _grown(n / _IMAGES, 2)
    return Score(seconds, timed.mb * _grown(max(n / _IMAGES, width / _WIDTH), 2))


def _grown(ratio: float, power: int) -> float:
    """A ratio below 1 unchanged, one above 1 raised to a power."""
    return ratio if ratio < 1 else ratio**power


@cache
def _networks() -> dict[str, Network]:
    columns = ("parameters", "gflop", "features", "forward_mb", "gradient_mb", "training_mb")
    return {
        row["arch"]: Network(int(row["size"]), *(float(row[key]) for key in columns)) for row in _rows("architectures")
    }


@cache
def _measures() -> dict[str, Score]:
    return {row["measure"]: Score(float(row["seconds"]), float(row["mb"])) for row in _rows("measures")}


def _rows(name: str) -> list[dict[str, str]]:
    with Path(__file__).with_name(f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
