"""
CIFAR-10 images drawn from a diffusion model: raw pixels in one file, labels in another.

Sehwag et al. 2021, "Robust learning meets generative models" (arXiv:2104.09425): samples of an improved DDPM that was
trained on CIFAR-10, with labels by a classifier, sorted by its confidence. The images file is plain uint8,
3,072 bytes per image in the order row, column, channel. Both files are memory-mapped.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mettle.data.item import Item, check_classes, png

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPE = (32, 32, 3)
_BYTES = 32 * 32 * 3


def read(source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images in the order of the file, most confident first, as lossless PNG.

    Parameters
    ----------
    source : folder with one file `*_images.bin` and one `*_labels.npy`
    split : train, the only one
    classes : must be 10
    seed : changes nothing

    Raises
    ------
    ValueError
        If one of the files is missing or there are two, their sizes do not match, or a label is out of range.
    """
    check_classes(len(CLASS_NAMES), classes, "data set 'cifar_ddpm'")
    pixels, labels = _the_file(source, "*_images.bin"), _the_file(source, "*_labels.npy")
    numbers = _labels(labels)
    size = pixels.stat().st_size
    if size != len(numbers) * _BYTES:
        expected = f"{len(numbers)} labels in {labels.name} need {len(numbers) * _BYTES}"
        raise ValueError(f"{pixels} has {size} bytes, but {expected}, {_BYTES} an image")
    images = np.memmap(pixels, np.uint8, "r").reshape(-1, *_SHAPE)
    return (
        Item(png(np.asarray(image)), int(label), CLASS_NAMES[label], f"{pixels.name}[{row}]")
        for row, (image, label) in enumerate(zip(images, numbers, strict=True))
    )


def _the_file(source: Path, pattern: str) -> Path:
    found = sorted(source.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"{source} holds {len(found)} files {pattern}, but needs one")
    return found[0]


def _labels(path: Path) -> np.ndarray:
    try:
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged or not an array of numbers: {error}") from error
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise ValueError(f"{path} holds {labels.dtype} of shape {labels.shape}, not one integer per image")
    if (wrong := np.flatnonzero((labels < 0) | (labels >= len(CLASS_NAMES)))).size:
        raise ValueError(f"{path}[{wrong[0]}]: label {labels[wrong[0]]} is out of range 0..{len(CLASS_NAMES) - 1}")
    return labels
