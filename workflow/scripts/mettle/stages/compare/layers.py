"""Similarity of each layer of a model to each layer of a model: the same one, or another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mettle import measures, tables
from mettle.stages.compare.similarity import method_of, result

Row = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A layer's part of the scores: the measure's state, or why there is none."""

    name: str
    n: int
    state: Any
    note: str | None


def similarities(
    first: str | Path, second: str | Path, keys: Row, options: Row, progress: Callable = list
) -> list[Row]:
    """Rows of the table of similarity of layers, one per layer of the first and layer of the second.

    A layer for which the measure is undefined, such as a class token before the first block, has rows without value.

    Parameters
    ----------
    first, second : files of the layers stage; may be one file
    keys : dataset, images, model, model_b, measure
    options : method and options of the measure
    progress : wraps the layers of the first and shows how far they are

    Raises
    ------
    ValueError
        If the two files hold different images.
    """
    method, options = method_of(options)
    columns = list(_layers(second, method, options))
    lines = columns if Path(first) == Path(second) else _layers(first, method, options, _ids(second))
    return [
        keys | {"layer": one.name, "layer_b": other.name, "method": method} | result(one.n, *_score(method, one, other))
        for one in progress(lines)
        for other in columns
    ]


def _score(method: str, one: Layer, other: Layer) -> tuple[float | None, str | None]:
    """The score of two layers, or why there is none; of a layer with itself without rounding."""
    if note := one.note or other.note:
        return None, note
    if one is other:
        return measures.get(method).scale.self_value, None
    try:
        return measures.get(method).score(one.state, other.state), None
    except ValueError as error:
        return None, f"{method} of {one.name} and {other.name}: {error}"


def _layers(path: str | Path, method: str, options: Row, ids: np.ndarray | None = None) -> Iterator[Layer]:
    """The layers of a file, prepared for a measure one after the other; of these images where they are given."""
    for layer in tables.read_groups(path, tables.LAYER_FEATURES, ["layer", "id", "features"]):
        if ids is not None and not np.array_equal(layer["id"], ids):
            raise ValueError(f"{path} holds other images than the layers that it is compared with: make both again")
        name, features = layer["layer"][0], np.stack(layer["features"])
        try:
            yield Layer(name, len(features), measures.prepare(method, features, who=name, **options), None)
        except ValueError as error:
            yield Layer(name, len(features), None, str(error))


def _ids(path: str | Path) -> np.ndarray:
    """Ids of the images of a file, in their order."""
    return next(tables.read_groups(path, tables.LAYER_FEATURES, ["id"]))["id"]
