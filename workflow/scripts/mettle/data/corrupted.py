"""Corrupted images of a store: made when they are read, or stored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mettle.corruptions.corrupter import Corrupter, Parity
from mettle.corruptions.textures import read
from mettle.data.item import Item, png
from mettle.data.loading import Batch
from mettle.data.store import Store
from mettle.data.transforms import centred, evaluation, tensor
from mettle.plan.corrupted import CLEAN
from mettle.typed import Corruptions
from mettle.units import sides, size_text


def corrupter(options: Corruptions, seed: int) -> Corrupter:
    """The corruptions of an entry of `corrupt.corruptions`."""
    frosts = read(options["frosts"]) if options["frosts"] and "frost" in options["types"] else None
    return Corrupter(options["family"], seed, Parity(**dict.fromkeys(options["parity"], True)), frosts)


@dataclass(frozen=True)
class Corrupted:
    """Images of a store under one corruption, made when they are read.

    What is drawn depends on the seed and the bytes of the image in its store, so an image has the same noise in every
    data set that has it.

    Attributes
    ----------
    store : the clean images
    options : of the set of corruptions
    run : applies them; None for clean images
    condition : type and severity
    """

    store: Store
    options: Corruptions
    run: Corrupter | None
    condition: tuple[str, int]

    def image(self, index: int) -> Image.Image:
        """The corrupted image at a position of the store.

        Raises
        ------
        ValueError
            If it is smaller than 32 pixels a side, or than the set's `crop`.
        """
        image = self._prepared(self.store.image(index))
        if self.run is None:
            return image
        try:
            return Image.fromarray(self.run(np.asarray(image), *self.condition, key=self.store.sha256(index)))
        except ValueError as error:
            raise ValueError(f"{self.store.path}, image {self.store.ids[index]}: {error}") from error

    @cached_property
    def _prepared(self) -> Callable[[Image.Image], Image.Image]:
        crop, resize = self.options["crop"], self.options["resize"]
        return centred(crop, resize) if crop else lambda image: image


@dataclass(frozen=True)
class Stored:
    """The same, read from a store that `items` filled; positions are those of the clean store."""

    store: Store
    images: Store

    def image(self, index: int) -> Image.Image:
        """The corrupted image at a position of the clean store; ValueError if it is not stored."""
        return self.images.image(self.images.position(int(self.store.ids[index])))


def views(
    store: Store, options: Corruptions, seed: int, conditions: Sequence[tuple[str, int]], stored: Sequence[str | Path]
) -> list[Corrupted | Stored]:
    """The images of a store under each condition: from their stores where there are some, else made here."""
    if stored:
        return [Stored(store, Store(path)) for path in stored]
    run = corrupter(options, seed) if options["types"] != [CLEAN] else None
    return [Corrupted(store, options, run, condition) for condition in conditions]


def items(view: Corrupted, positions: Iterable[int]) -> Iterator[Item]:
    """Items for a store of corrupted images, with the ids and labels of the clean ones."""
    manifest = view.store.manifest()
    for index in positions:
        row = manifest.iloc[index]
        label = None if row["label"] is None or row["label"] != row["label"] else int(row["label"])
        data = png(np.asarray(view.image(index)))
        source = ", ".join([row["source"], *map(str, view.condition)])
        yield Item(data, label, row["class_name"] or "", source, id=int(row["id"]))


class Conditions(Dataset):
    """A sample of a store's images under several conditions as a model's input: all of one, then all of the next.

    Nothing is kept in memory: worker processes read and corrupt images ahead of time.

    Parameters
    ----------
    store : the clean images, which have the targets
    positions : of the sample in the store (n,)
    seen : the images under each condition
    about : metadata of the model's weights: size, resize, interpolation
    native : whether the model takes images at their own size
    cropped : whether the set has cropped the images: for a model of that input size they are not resized again
    """

    ready = False

    def __init__(
        self,
        store: Store,
        positions: np.ndarray,
        seen: Sequence[Corrupted | Stored],
        about: dict[str, Any],
        *,
        native: bool = False,
        cropped: bool = False,
    ) -> None:
        self.store, self.positions, self.seen = store, positions, seen
        self.transform = tensor() if native else _input(about, cropped, store.path)

    def __len__(self) -> int:
        return len(self.positions) * len(self.seen)

    def at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Positions in the store of the images at these positions here."""
        return self.positions[np.asarray(indices) % len(self.positions)]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images (n, 3, h, w) in [0, 1], labels (n,) and ids (n,)."""
        places = self.at(indices)
        pairs = zip(indices, places, strict=True)
        images = [self.transform(self.seen[index // len(self.positions)].image(place)) for index, place in pairs]
        labels, ids = self.store.labels[places], self.store.ids[places]
        return torch.stack(images), torch.from_numpy(labels), torch.from_numpy(ids)


def _input(about: dict[str, Any], cropped: bool, path: Path) -> Callable[[Image.Image], Tensor]:
    size, resize = about["size"], about["size"] if cropped else about["resize"]
    if resize is not None:
        return evaluation(size, resize, about["interpolation"])
    return partial(_as_it_is, size=sides(size), path=path)


def _as_it_is(image: Image.Image, size: tuple[int, int], path: Path) -> Tensor:
    if (image.height, image.width) != size:
        found = size_text((image.height, image.width))
        raise ValueError(f"{path} holds images of {found} pixels, the model takes {size_text(size)}: set input.resize")
    return tensor()(image)
