"""From a store to batches of tensors: evaluation and training transforms, order, worker processes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mettle.data.store import Store
from mettle.flow import derive

Batch = tuple[Tensor, Tensor, Tensor]


class ImageSet(Dataset):
    """Images of a store as network input, fetched a batch at a time.

    Parameters
    ----------
    store : the images
    size : side of the square input in pixels
    resize : shorter side before the centre crop; None for images that have the input's size, which are kept in memory
    augment : the recipe's block, for training images
    seed : with an image's id and the epoch, decides what `augment` draws; the same for any number of workers
    """

    def __init__(
        self, store: Store, size: int, resize: int | None, augment: dict[str, Any] | None = None, seed: int = 0
    ) -> None:
        self.store, self.seed, self.epoch = store, seed, 0
        self.arrays = self.transform = None
        self.random = bool(augment) and any(augment.values())
        if self.random or resize is not None:
            from mettle.data import transforms  # torchvision takes a second to import

            self.transform = (
                transforms.training(augment, size, resize) if self.random else transforms.evaluation(size, resize)
            )
        if resize is None and not (augment or {}).get("random_resized_crop"):
            self.arrays = torch.from_numpy(store.arrays()).permute(0, 3, 1, 2).contiguous()
            if self.arrays.shape[2:] != (size, size):
                found = "x".join(map(str, self.arrays.shape[2:]))
                raise ValueError(
                    f"{store.path} holds images of {found} pixels, the model takes {size}x{size}: set input.resize"
                )

    def __len__(self) -> int:
        return len(self.store)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images (n, 3, h, w) in [0, 1], labels (n,), ids (n,) at these positions."""
        if self.arrays is not None and self.transform is None:
            images = self.arrays[indices].float() / 255
        else:
            images = torch.stack([self._image(index) for index in indices])
        return images, torch.from_numpy(self.store.labels[indices]), torch.from_numpy(self.store.ids[indices])

    def _image(self, index: int) -> Tensor:
        if self.arrays is None:
            image = self.store.image(index)
        else:
            image = Image.fromarray(self.arrays[index].permute(1, 2, 0).numpy())
        if not self.random:
            return self.transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, "augment", self.epoch, int(self.store.ids[index])))
            return self.transform(image)


def batches(images: ImageSet, chosen: Sequence[np.ndarray], workers: int = 0) -> Iterator[Batch]:
    """The batches at these positions, in this order.

    Parameters
    ----------
    images : the image set
    chosen : one array of positions per batch
    workers : processes that decode ahead; images in memory need none
    """
    yield from DataLoader(
        images,
        batch_sampler=[part.tolist() for part in chosen],
        collate_fn=_as_is,
        num_workers=0 if images.arrays is not None and images.transform is None else workers,
        pin_memory=torch.cuda.is_available(),
    )


def split(indices: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Positions in batches of nearly equal size, at most `batch_size`: no rest of one image that upsets BatchNorm."""
    return np.array_split(indices, max(1, -(-len(indices) // batch_size)))


def shuffled(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of one training epoch: all n positions once, in an order that (seed, epoch) decides."""
    order = np.random.default_rng(derive(seed, "order", epoch)).permutation(n)
    return split(order, batch_size)


def _as_is(batch: Batch) -> Batch:
    return batch
