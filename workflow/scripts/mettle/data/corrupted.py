"""Corrupted images of a store: made when they are read, stored, or published."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from mettle.corruptions.corrupter import Corrupter, Parity
from mettle.corruptions.textures import read
from mettle.data.item import Item, png
from mettle.data.published_corruptions import PUBLISHED
from mettle.data.store import Store
from mettle.plan.corrupted import CLEAN, conditions
from mettle.typed import Corruptions


def centred(image: Image.Image, side: int | None, resize: int | None) -> Image.Image:
    """The central square of an image, of the shorter side `resize` where it is given; as it is where `side` is None.

    Resizing is bilinear and antialiased, sides and borders are those of torchvision.

    Raises
    ------
    ValueError
        If the image is then smaller than the square.
    """
    if side is None:
        return image
    if resize is not None:
        scaled = [int(resize * length / min(image.size)) for length in image.size]
        image = image.resize(scaled, Image.Resampling.BILINEAR)
    left, top = (round((length - side) / 2) for length in image.size)
    if min(image.size) < side:
        raise ValueError(f"an image of {image.height}x{image.width} pixels is smaller than its `crop` of {side}")
    return image.crop((left, top, left + side, top + side))


class View(Protocol):
    """Images by the positions of the clean ones in their store."""

    def image(self, index: int) -> Image.Image:
        """The image at a position."""


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
        image = centred(self.store.image(index), self.options["crop"], self.options["resize"])
        if self.run is None:
            return image
        try:
            return Image.fromarray(self.run(np.asarray(image), *self.condition, key=self.store.sha256(index)))
        except ValueError as error:
            raise ValueError(f"{self.store.path}, image {self.store.ids[index]}: {error}") from error


@dataclass(frozen=True)
class Stored:
    """The same, read from a store that `items` filled; positions are those of the clean store."""

    store: Store
    stored: Store

    def image(self, index: int) -> Image.Image:
        """The corrupted image at a position of the clean store; ValueError if it is not stored."""
        return self.stored.image(self.stored.position(int(self.store.ids[index])))


def views(
    store: Store,
    options: Corruptions,
    seed: int,
    stored: Sequence[str | Path] = (),
    published: tuple[str, str | Path] | None = None,
) -> list[View]:
    """The images of a store under each condition of a cell: published or stored ones where there are, else made here.

    Parameters
    ----------
    store : the clean images
    options : of the cell
    seed : of what is drawn
    stored : stores with the images under each condition
    published : reader and source of published images
    """
    asked = conditions(options)
    if published and options["types"] != [CLEAN]:
        reader, source = published
        return [PUBLISHED[reader](store, Path(source), condition) for condition in asked]
    if stored:
        return [Stored(store, Store(path)) for path in stored]
    run = corrupter(options, seed) if options["types"] != [CLEAN] else None
    return [Corrupted(store, options, run, condition) for condition in asked]


def items(view: Corrupted, positions: Iterable[int]) -> Iterator[Item]:
    """Items for a store of corrupted images, with the ids and labels of the clean ones."""
    manifest = view.store.manifest()
    for index in positions:
        row = manifest.iloc[index]
        label = None if row["label"] is None or row["label"] != row["label"] else int(row["label"])
        data = png(np.asarray(view.image(index)))
        source = ", ".join([row["source"], *map(str, view.condition)])
        yield Item(data, label, row["class_name"] or "", source, id=int(row["id"]))
