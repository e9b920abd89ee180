"""Agreement of two models by head: their own, and linear probes on the same features."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mettle import tables

Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """Classes that the heads of a model predict on an image set, in the order of the ids.

    Attributes
    ----------
    where : image set and file, for messages
    ids : images (n,), ascending
    own : answers (n,) of the model's own head
    probes : answers (probes, n)
    """

    where: str
    ids: np.ndarray
    own: np.ndarray
    probes: np.ndarray


def agreements(own: str | Path, others: Sequence[str | Path], keys: Row) -> list[Row]:
    """Rows of the probe_agree table.

    Per image set and other model `pretrained`, the fraction of images on which the two models' own heads agree,
    and `probe`, its mean over all pairs of their probes with minimum and maximum; then `probe` of the model with
    itself, over pairs of different probes. 1 is alike.

    Parameters
    ----------
    own, others : files of the probe rule
    keys : dataset, norm, eps

    Raises
    ------
    ValueError
        If two files do not have the same images.
    """
    name, first = load(own)
    rows: dict[str, list[Row]] = {images: [] for images in first}
    for path in others:
        other, second = load(path)
        if more := sorted(second.keys() - first.keys()):
            raise ValueError(f"{path} holds {more[0]} images, {own} does not: probe both models on the same images")
        for images, answers in first.items():
            place = keys | {"images": images, "model": name, "model_b": other}
            rows[images] += _between(answers, _joined(answers, second.get(images), path), place)
    for images, answers in first.items():
        place = keys | {"images": images, "model": name, "model_b": name}
        rows[images].append(place | _result("probe", itertools.combinations(answers.probes, 2), len(answers.ids)))
    return list(itertools.chain(*rows.values()))


def load(path: str | Path) -> tuple[str, dict[str, Answers]]:
    """Name of the model in a file of the probe rule, and its answers by image set."""
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for rows in tables.read_groups(path, tables.PROBE, ["model", "images", "id", "prediction", "probes"]):
        for images in np.unique(rows["images"]):
            chosen = rows["images"] == images
            part = (rows["id"][chosen], rows["prediction"][chosen].astype(np.int32), rows["probes"][chosen])
            parts.setdefault(images, []).append(part)
            name = rows["model"][0]
    if not parts:
        raise ValueError(f"{path} holds no answers")
    return name, {images: _sorted(f"{images} images of {path}", held) for images, held in parts.items()}


def _sorted(where: str, parts: Iterable[tuple[np.ndarray, ...]]) -> Answers:
    ids, own, probes = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(ids, kind="stable")
    if len(twice := np.flatnonzero(np.diff(ids[order]) == 0)):
        raise ValueError(f"{where}: image {ids[order][twice[0]]} appears more than once")
    return Answers(where, ids[order], own[order], np.ascontiguousarray(probes[order].T))


def _joined(first: Answers, second: Answers | None, path: str | Path) -> Answers:
    """The second answers, which must be for the images of the first."""
    if second is None or not np.array_equal(first.ids, second.ids):
        ids = [] if second is None else second.ids
        raise ValueError(
            f"{path} and {first.where} hold different images: {len(ids)} and {len(first.ids)}, "
            f"{len(np.intersect1d(first.ids, ids))} in common; probe both models on the same images"
        )
    return second


def _between(first: Answers, second: Answers, place: Row) -> list[Row]:
    n = len(first.ids)
    own = _result("pretrained", [(first.own, second.own)], n) | {"lo": None, "hi": None}
    return [place | own, place | _result("probe", itertools.product(first.probes, second.probes), n)]


def _result(measure: str, pairs: Iterable[tuple[np.ndarray, np.ndarray]], n: int) -> Row:
    """Mean, minimum and maximum fraction of n images on which the two of a pair agree."""
    shares = [np.count_nonzero(a == b) / n for a, b in pairs]
    if not shares:
        note = "a single probe has no other to agree with"
        return {"measure": measure, "n": n, "value": None, "lo": None, "hi": None, "note": note}
    value = float(np.mean(shares))
    return {"measure": measure, "n": n, "value": value, "lo": min(shares), "hi": max(shares), "note": None}
