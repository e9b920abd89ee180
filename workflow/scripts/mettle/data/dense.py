"""Images of a store with targets for every pixel or object, as input for the training of dense tasks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from mettle.data.item import decode_array
from mettle.data.loading import seeded
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.seeds import derive
from mettle.units import sides, size_text

# (image (h, w, 3) uint8, its target) to an image (3, h, w) in [0, 1] and the target that goes with it
Change = Callable[[np.ndarray, Any], tuple[Tensor, Any]]


class DenseSet(Dataset):
    """Images of a store and their targets, one batch at a time.

    Without random changes all images must have the input size; they are kept in memory.

    Parameters
    ----------
    store : the images
    size : input size in pixels: side of a square, or [height, width]
    read : the target of the image at a position
    stack : the targets of a batch, from those of its images
    change : random changes of an image and its target to the input size
    seed : determines the changes, with the image's id and the epoch, for any number of workers

    Raises
    ------
    ValueError
        If images are to be taken as they are, and one has another size.
    """

    def __init__(
        self,
        store: Store,
        size: int | Sequence[int],
        read: Callable[[TargetStore, int], Any],
        stack: Callable[[list[Any]], Any],
        change: Change | None = None,
        seed: int = 0,
    ) -> None:
        self.store, self.targets, self.change, self.seed, self.epoch = store, TargetStore(store.path), change, seed, 0
        self.read, self.stack = read, stack
        self.arrays: Tensor | None = None
        self.kept: list[Any] = []
        if change is None:
            self._keep(sides(size))

    def __len__(self) -> int:
        return len(self.store)

    @property
    def ready(self) -> bool:
        """Whether images and targets are in memory, so that workers would only slow loading down."""
        return self.arrays is not None

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Any, Tensor]:
        """Images (n, 3, h, w) in [0, 1], targets and ids (n,) at these positions.

        Images that are smaller than others are padded with zeros, below and on the right.
        """
        ids = torch.from_numpy(self.store.ids[indices])
        if self.ready:
            images = self.arrays[indices].permute(0, 3, 1, 2).float() / 255
            return images, self.stack([self.kept[index] for index in indices]), ids
        images, targets = zip(*map(self._changed, indices), strict=True)
        return _joined(images), self.stack(list(targets)), ids

    def _changed(self, index: int) -> tuple[Tensor, Any]:
        image, target = decode_array(self.store.data(index)), self.read(self.targets, index)
        with seeded(derive(self.seed, "augment", self.epoch, int(self.store.ids[index]))):
            return self.change(image, target)

    def _keep(self, size: tuple[int, int]) -> None:
        others = np.flatnonzero((self.targets.sizes != size).any(1))
        if len(others):
            found = size_text(self.targets.sizes[others[0]])
            raise ValueError(
                f"{self.store.path} holds an image of {found} pixels, but training takes {size_text(size)}: set "
                "augment.resize_range and input.scale of the recipe, or its input.size"
            )
        self.arrays = torch.from_numpy(self.store.arrays(threads=torch.get_num_threads()))
        self.kept = [self.read(self.targets, index) for index in range(len(self))]


def _joined(images: Sequence[Tensor]) -> Tensor:
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    return torch.stack([F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images])
