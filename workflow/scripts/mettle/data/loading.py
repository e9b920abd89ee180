"""Load images of a store as batches of tensors: evaluation and training transforms, order, worker processes."""

import multiprocessing
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mettle.data.store import Store
from mettle.seeds import derive
from mettle.typed import Augment
from mettle.units import sides, size_text

Batch = tuple[Tensor, Tensor, Tensor]
Size = int | Sequence[int]  # side of a square in pixels, or [height, width]

# Keys of a recipe's `augment` block that change single images; the others set parameters, or mix images of a batch.
_CHANGES = (
    "random_resized_crop",
    "crop_padding",
    "horizontal_flip",
    "vertical_flip",
    "auto_augment",
    "color_jitter",
    "rotation",
    "lighting",
    "erasing",
)


class Source(Protocol):
    """Images of a store as network input, by their positions."""

    store: Store
    ready: bool

    def __len__(self) -> int: ...

    def at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Positions in the store of the images at these positions."""

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images (n, 3, h, w) in [0, 1], labels (n,) and ids (n,) at these positions."""


class ImageSet(Dataset):
    """Images of a store as network input, one batch at a time.

    Parameters
    ----------
    store : the images
    size : input size in pixels: side of a square, or [height, width]
    resize : size before the centre crop: of the shorter side, or [height, width]; None for images that already have
        the input size, which are kept in memory
    augment : the recipe's block, for training images
    seed : determines the augmentation, with the image's id and the epoch, for any number of workers
    interpolation : used by `resize`, `bilinear` or `bicubic`
    views : of each image: the first without `auto_augment`, the others with different draws of it; all have the other
        changes in common
    """

    def __init__(
        self,
        store: Store,
        size: Size,
        resize: Size | None,
        augment: Augment | None = None,
        seed: int = 0,
        interpolation: str = "bilinear",
        views: int = 1,
    ) -> None:
        self.store, self.seed, self.epoch, self.views = store, seed, 0, views
        self.arrays = self.transform = self.plain = None
        self.random = bool(augment) and any(augment[key] for key in _CHANGES)
        if self.random or resize is not None:
            from mettle.data import transforms  # torchvision takes a second to import

            if self.random:
                self.transform = transforms.training(augment, size, resize, interpolation)
            else:
                self.transform = transforms.evaluation(size, resize, interpolation)
        if views > 1:
            self.plain = _plain(augment or {}, size, resize, interpolation)
        if resize is None and not (augment or {}).get("random_resized_crop"):
            self.arrays = torch.from_numpy(store.arrays(threads=torch.get_num_threads()))  # (n, h, w, 3)
            if self.arrays.shape[1:3] != sides(size):
                found = size_text(self.arrays.shape[1:3])
                raise ValueError(
                    f"{store.path} holds images of {found} pixels, the model takes {size_text(size)}: set input.resize"
                )

    def __len__(self) -> int:
        return len(self.store)

    def at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Positions in the store of the images at these positions: the same."""
        return np.asarray(indices)

    @property
    def ready(self) -> bool:
        """Whether the images are in memory as network input, so that workers would only slow loading down."""
        return self.arrays is not None and self.transform is None

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images (n, 3, h, w) in [0, 1], or (n, views, 3, h, w), labels (n,) and ids (n,) at these positions."""
        if self.ready:
            images = self.arrays[indices].permute(0, 3, 1, 2).float() / 255
        else:
            images = torch.stack([self._image(index) for index in indices])
        return images, torch.from_numpy(self.store.labels[indices]), torch.from_numpy(self.store.ids[indices])

    def _image(self, index: int) -> Tensor:
        image = self.store.image(index) if self.arrays is None else Image.fromarray(self.arrays[index].numpy())
        if not self.random:
            return self.transform(image)
        here = self.seed, "augment", self.epoch, int(self.store.ids[index])
        seed = derive(*here)
        if self.views == 1:
            return _drawn(self.transform, image, seed, seed)
        found = [_drawn(self.plain, image, seed, seed)]
        found += [_drawn(self.transform, image, seed, derive(*here, view)) for view in range(1, self.views)]
        return torch.stack(found)


class NativeImages(Dataset):
    """Images of a store at their own size as network input, one batch at a time; those of a batch have one size.

    Nothing is kept in memory: worker processes decode images ahead of time.

    Parameters
    ----------
    store : the images
    """

    ready = False

    def __init__(self, store: Store) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Positions in the store of the images at these positions: the same."""
        return np.asarray(indices)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images (n, 3, h, w) in [0, 1], labels (n,) and ids (n,) at these positions."""
        images = torch.from_numpy(self.store.arrays(indices)).permute(0, 3, 1, 2).float() / 255
        return images, torch.from_numpy(self.store.labels[indices]), torch.from_numpy(self.store.ids[indices])


class Mixture(Dataset):
    """Two image sets as one: positions of the second follow those of the first, and its ids become -1 - id.

    Parameters
    ----------
    first, second : image sets with the same classes and image size
    """

    def __init__(self, first: ImageSet, second: ImageSet) -> None:
        self.parts = (first, second)
        self.ready = first.ready and second.ready

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def epoch(self) -> int:
        """Epoch for which augmentation is drawn."""
        return self.parts[0].epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        for part in self.parts:
            part.epoch = epoch

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Images, labels and ids at these positions, as `ImageSet` returns them."""
        indices, n = np.asarray(indices), len(self.parts[0])
        second, found = indices >= n, []
        if not second.all():
            found.append(self.parts[0].__getitems__(indices[~second].tolist()))
        if second.any():
            images, labels, ids = self.parts[1].__getitems__((indices[second] - n).tolist())
            found.append((images, labels, -1 - ids))
        order = torch.from_numpy(np.argsort(np.argsort(second, kind="stable")))
        return tuple(torch.cat(parts)[order] for parts in zip(*found, strict=True))


def evaluation_images(store: Store, about: dict[str, Any], *, uncropped: bool = False) -> ImageSet:
    """Images of a store as a model's input for evaluation.

    Parameters
    ----------
    store : the images
    about : metadata of the model's weights: size, resize, interpolation
    uncropped : for images that were made at the input size of a model, so that no border is lost: images of this
        model's input size stay as they are; for others the shorter side becomes `size` before the centre crop, or
        both sides do if `size` is [height, width], whatever `resize` says
    """
    size, resize = about["size"], about["resize"]
    if uncropped and (resize is not None or store.image(0).size != sides(size)[::-1]):
        resize = size
    return ImageSet(store, size, resize, interpolation=about["interpolation"])


def batches(images: Source | Mixture, chosen: Sequence[np.ndarray], workers: int = 0) -> Iterator[Batch]:
    """The batches at these positions, in this order.

    Parameters
    ----------
    images : the image set
    chosen : one array of positions per batch
    workers : processes that decode images ahead of time; not used for images in memory
    """
    loaded = DataLoader(
        images,
        batch_sampler=[part.tolist() for part in chosen],
        collate_fn=_sent,
        num_workers=0 if images.ready else _possible(workers),
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loaded:
        if isinstance(batch[0], np.ndarray):
            _say_that_it_is_full()
        yield tuple(torch.as_tensor(part) if isinstance(part, np.ndarray) else part for part in batch)


def split(indices: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Split positions into batches of nearly equal size, at most `batch_size`: no batch of one upsets BatchNorm."""
    return np.array_split(indices, max(1, -(-len(indices) // batch_size)))


def shuffled(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of one training epoch: all n positions once, in an order determined by (seed, epoch)."""
    order = np.random.default_rng(derive(seed, "order", epoch)).permutation(n)
    return split(order, batch_size)


def blended(n: int, others: int, batch_size: int, ratio: float, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of one epoch over a `Mixture` of n and `others` images, until either of the two runs out of batches.

    Raises
    ------
    ValueError
        If a share of `ratio` of a batch is no image or all of them.
    """
    take = int(batch_size * ratio)
    if not 0 < take < batch_size:
        raise ValueError(f"mix.ratio {ratio:g} takes {take} images of a batch of {batch_size}: change one of the two")
    first = shuffled(n, batch_size - take, seed, epoch)
    second = shuffled(others, take, derive(seed, "mix"), epoch)
    rng = np.random.default_rng(derive(seed, "mix", epoch))
    return [rng.permutation(np.concatenate([a, b + n])) for a, b in zip(first, second, strict=False)]


def _plain(augment: Augment, size: Size, resize: Size | None, interpolation: str) -> Callable[[Any], Tensor]:
    """The changes of the first of several views; ValueError if the others would not differ from it."""
    if augment.get("auto_augment") is None:
        raise ValueError("a loss of several views needs augment.auto_augment or augment.prime, which make them differ")
    from mettle.data import transforms

    return transforms.training(augment | {"auto_augment": None, "color_jitter": 0}, size, resize, interpolation)


def _drawn(transform: Callable[[Any], Tensor], image: Any, seed: int, automatic: int) -> Tensor:
    """The image after a transform; `automatic` is the seed of its `auto_augment`, which is timm's and not torch's."""
    with seeded(seed, automatic):
        return transform(image)


@contextmanager
def seeded(seed: int, others: int | None = None) -> Iterator[None]:
    """Seed the global generators of torch on the CPU, Python and NumPy, and restore their states afterwards.

    Parameters
    ----------
    seed : of torch's
    others : of Python's and NumPy's; the same by default
    """
    others = seed if others is None else others
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed seeds every GPU too; in a process that uses none, it keeps the stack of each call for later.
        torch.default_generator.manual_seed(seed)
        random.seed(others)
        np.random.seed(others % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _possible(workers: int) -> int:
    """`workers`, or 0 where processes cannot share a lock."""
    try:
        multiprocessing.Lock()
    except OSError:
        _say_that_it_is_full()
        return 0
    return workers


def _sent(batch: Batch) -> Batch | tuple[Tensor | np.ndarray, ...]:
    """A batch as a worker sends it: images in shared memory or, if that is full, as an array through a pipe.

    By default torch moves tensors to shared memory in a thread, and if that fails the batch never arrives.
    """
    if get_worker_info() is None:
        return batch
    images, *others = batch
    try:
        images.share_memory_()
    except RuntimeError:
        images = images.numpy()
    return images, *(other.numpy() if isinstance(other, Tensor) else other for other in others)


@cache
def _say_that_it_is_full() -> None:
    print(
        "mettle: /dev/shm is full or cannot be written, so images are decoded by one process, or take a slower way "
        "from several: give the container more shared memory, as in --shm-size=8g",
        file=sys.stderr,
        flush=True,
    )
