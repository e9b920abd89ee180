"""Images under several conditions as a model's input."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mettle.data.corrupted import View
from mettle.data.loading import Batch
from mettle.data.store import Store
from mettle.data.transforms import evaluation, tensor
from mettle.units import sides, size_text


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
        seen: Sequence[View],
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
