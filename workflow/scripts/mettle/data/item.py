"""One image on its way into a store, and what all readers need to make it."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError


@dataclass(frozen=True)
class Item:
    """
    One encoded image with its label.

    Attributes
    ----------
    data : encoded image; a folder's file as it is, anything else a lossless PNG
    label : class index, from 0
    class_name : name of the class
    source : where the image came from: file, archive member with row, or generator with seed and index
    objects : the objects in the image, nearest first, where known; one mapping each, with the keys label, x0, y0, x1,
        y1, depth, mask, as `tables.MANIFEST` describes them
    id : the image's key in the store, for one that is made from an image of another store; None counts from 0
    """

    data: bytes
    label: int
    class_name: str
    source: str
    objects: list[dict] | None = None
    id: int | None = None


def png(array: np.ndarray) -> bytes:
    """Lossless PNG of an array: (h, w, 3) uint8 as RGB, (h, w) bool with one bit per pixel."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """The image behind encoded bytes, fully decoded, in RGB. Raises whatever PIL raises on bytes it cannot read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.convert("RGB")
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise ValueError("its bytes are in no known image format") from error


def check_classes(found: int, classes: int, where: object) -> None:
    """Raise ValueError unless the number of classes found equals the number configured."""
    if found != classes:
        raise ValueError(f"{where} holds {found} classes, but `classes` says {classes}")
