"""Representations of an image set, read from their files, and two of them brought into the same order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mettle import tables


@dataclass(frozen=True)
class Representation:
    """
    A model's representation of n images.

    Attributes
    ----------
    model, images, path : model, image set, file
    ids, label, prediction : (n,) int arrays
    features, logits : (n, d) and (n, c) float32 arrays; None if they were not asked for
    """

    model: str
    images: str
    path: Path
    ids: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    features: np.ndarray | None = None
    logits: np.ndarray | None = None

    def __str__(self) -> str:
        return f"{self.model} on {self.images} images ({self.path})"


def load(path: str | Path, *vectors: str) -> Representation:
    """
    The representation in a file.

    Parameters
    ----------
    path : file of the represent stage
    vectors : which of `features` and `logits` to read

    Raises
    ------
    ValueError
        If the file is damaged, or holds no image or one twice.
    """
    frame = tables.read(path, tables.REPRESENT, ["model", "images", "id", "label", "prediction"])
    if frame.empty:
        raise ValueError(f"{path} holds no images")
    if twice := frame["id"][frame["id"].duplicated()].tolist():
        raise ValueError(f"{path}: image {twice[0]} appears more than once ({len(twice)} such rows)")
    columns = {"ids": "id", "label": "label", "prediction": "prediction"}
    return Representation(
        frame["model"].iloc[0],
        frame["images"].iloc[0],
        Path(path),
        **{key: frame[name].to_numpy() for key, name in columns.items()},
        **{name: tables.vectors(path, tables.REPRESENT, name) for name in vectors},
    )


def join(first: Representation, second: Representation) -> Representation:
    """
    The second representation with its rows in the order of the first.

    Raises
    ------
    ValueError
        If the two do not hold the same images with the same labels.
    """
    if len(first.ids) != len(second.ids) or not (first.ids == second.ids).all():
        order = pd.Index(second.ids).get_indexer(first.ids)
        if len(first.ids) != len(second.ids) or (order < 0).any():
            raise ValueError(
                f"{first} and {second} hold different images: {len(first.ids)} and {len(second.ids)}, "
                f"{int((order >= 0).sum())} in common; represent both on the same image set"
            )
        second = rows(second, order)
    if not (first.label == second.label).all():
        raise ValueError(f"{first} and {second} give different labels to the same images")
    return second


def paired(
    files: Sequence[str | Path], images: str, model: str, above: Sequence[str]
) -> tuple[list[str | Path], list[str | Path]]:
    """
    First and second files of the pairs of a model and those above it.

    On natural images the model comes first. On inverted images there are two pairs per model above: on the images of
    either one, the model that they were inverted through comes first.

    Parameters
    ----------
    files : of the represent stage: on natural images that of the model and those of the others, on inverted images the
        folder of all of them, `inverted-{source}/{model}.parquet`
    images : natural or inverted
    model, above : names
    """
    if images == "natural":
        own, *others = files
        return [own] * len(others), others

    def seen(source: str, by: str) -> Path:
        return Path(files[0], f"inverted-{source}", f"{by}.parquet")

    first = [seen(model, model) for _ in above] + [seen(other, other) for other in above]
    return first, [seen(model, other) for other in above] + [seen(other, model) for other in above]


def rows(of: Representation, order: np.ndarray) -> Representation:
    """These rows of a representation, in this order."""
    names = ("ids", "label", "prediction", "features", "logits")
    return replace(of, **{name: found[order] for name in names if (found := getattr(of, name)) is not None})


def pairs(files: Iterable[tuple[str | Path, str | Path]], *vectors: str) -> Iterator[tuple[Representation, ...]]:
    """
    Pairs of representations, joined. Only two are in memory if the caller drops a pair before the next one.

    Parameters
    ----------
    files : pairs of files; a first that follows itself is read once
    vectors : see `load`
    """
    held = None
    for first, second in files:
        if held is None or held.path != Path(first):
            held = None  # freed before the next one is read
            held = load(first, *vectors)
        yield held, join(held, load(second, *vectors))
