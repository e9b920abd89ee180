"""
Corrupted images as published: the folders of ImageNet-C, and the arrays of CIFAR-10-C and CIFAR-100-C.

They are read where they lie, by the clean images of which each was made, so both have the same ids and labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from mettle.data.item import decode
from mettle.data.store import Store
from mettle.plan.corrupted import imagenet_c_folder


@dataclass(frozen=True)
class Folder:
    """ImageNet-C, `type/severity/class/file` or `group/type/severity/class/file`, under one corruption.

    The images are 224 pixels a side: they were resized and cropped before they were corrupted (Hendrycks & Dietterich
    2019, arXiv:1903.12261).

    Attributes
    ----------
    store : the clean images, whose files have the same names
    source : folder
    condition : type and severity
    """

    store: Store
    source: Path
    condition: tuple[str, int]

    def image(self, index: int) -> Image.Image:
        """The corrupted image at a position of the clean store; ValueError if it is not there."""
        name = Path(self._names[index]).name
        if name not in self._files:
            raise ValueError(f"{self._folder} has no image {name}, but {self.store.path} has it: unpack all of the set")
        return decode(self._files[name].read_bytes())

    @cached_property
    def _names(self) -> list[str]:
        return self.store.manifest()["source"].tolist()

    @cached_property
    def _folder(self) -> Path:
        kind, severity = self.condition
        return imagenet_c_folder(self.source, kind) / str(severity)

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {path.name: path for path in self._folder.glob("*/*")}


@dataclass(frozen=True)
class Arrays:
    """CIFAR-10-C or CIFAR-100-C, `type.npy` with the held-out images at severities 1 to 5, under one corruption.

    Attributes
    ----------
    store : the clean held-out images in their order, all of them
    source : folder
    condition : type and severity
    """

    store: Store
    source: Path
    condition: tuple[str, int]

    def image(self, index: int) -> Image.Image:
        """The corrupted image at a position of the clean store."""
        return Image.fromarray(self._images[index])

    @cached_property
    def _images(self) -> np.ndarray:
        """The images at this severity (n, h, w, 3), on disk.

        Raises
        ------
        ValueError
            If a file is missing or no such array, or its labels are not those of the clean images.
        """
        (kind, severity), n = self.condition, len(self.store)
        labels, images = self._read("labels.npy"), self._read(f"{kind}.npy")
        part = slice(n * (severity - 1), n * severity)
        if images.ndim != 4 or images.shape[0] != 5 * n or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(
                f"{self.source / kind}.npy holds {images.dtype} {images.shape}, not 8-bit images "
                f"({5 * n}, h, w, 3), the {n} of {self.store.path} at each of five severities"
            )
        if labels.shape != (5 * n,) or (labels[part] != self.store.labels).any():
            raise ValueError(
                f"{self.source / 'labels.npy'} does not hold the labels of {self.store.path} at each of five "
                "severities: is it another data set, or are the images in another order?"
            )
        return images[part]

    def _read(self, name: str) -> np.ndarray:
        try:
            return np.load(self.source / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.source / name} cannot be read as an array: {error}") from error


PUBLISHED: dict[str, Callable[[Store, Path, tuple[str, int]], Folder | Arrays]] = {
    "imagenet_c": Folder,
    "cifar_c": Arrays,
}
