"""An image on its way into a store, and functions that all readers need."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

# Modes that both decoders convert to RGB in the same way; PIL decodes CMYK.
_COLOURS = ("YCbCr", "RGB", "Gray")


MILLIMETRE = 0.001


@dataclass(frozen=True)
class Object:
    """
    One object in an image.

    Attributes
    ----------
    label : class index, from 0
    box : x0, y0, x1, y1 in pixels, columns [x0, x1) and rows [y0, y1)
    area : pixels of the object, as its data set counts them
    mask : run lengths of its visible pixels (`mettle.data.runs`); None for a box alone
    crowd : whether it is a group of objects, on which detections are neither right nor wrong
    """

    label: int
    box: tuple[float, float, float, float]
    area: float
    mask: str | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Targets:
    """
    Targets of one image beyond a label; None for a kind that its data set does not have.

    Attributes
    ----------
    label_map : class of each pixel, uint8 or uint16 (h, w)
    depth : distance of each pixel in steps of `depth_unit`, uint16 (h, w); 0 where there is no value
    depth_unit : metres
    objects : the objects, in any order; empty for an image without any
    """

    label_map: np.ndarray | None = None
    depth: np.ndarray | None = None
    depth_unit: float = MILLIMETRE
    objects: list[Object] | None = None


@dataclass(frozen=True)
class Item:
    """
    One encoded image with its label and other targets.

    Attributes
    ----------
    data : encoded image, `plain` (`mettle.data.pixels`): a file as it is, or a lossless PNG
    label : class index of the image, from 0; None where it has no label
    class_name : name of the class; empty where it has no label
    source : where the image came from: file, archive member with row, or generator with seed and index
    objects : the objects in the image, nearest first, where known; one mapping each, with the keys label, x0, y0, x1,
        y1, depth, mask, as `tables.MANIFEST` describes them
    id : the image's key in the store, for one that is made from an image of another store; None counts from 0
    more : values of the columns that the store's manifest has beyond `tables.MANIFEST`
    targets : a class or a distance for every pixel, and objects, where the data set has them
    """

    data: bytes
    label: int | None
    class_name: str
    source: str
    objects: list[dict] | None = None
    id: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    targets: Targets | None = None


def png(array: np.ndarray) -> bytes:
    """Lossless PNG of an array: (h, w, 3) uint8 as RGB; (h, w) uint8 or uint16 as grey, bool with one bit per pixel."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """The image in encoded bytes, fully decoded, in RGB. Raises whatever PIL raises for bytes that it cannot read."""
    pixels = _jpeg(data)
    return _pil(data) if pixels is None else Image.fromarray(pixels)


def decode_array(data: bytes, out: np.ndarray | None = None) -> np.ndarray:
    """What `decode` gives, as (h, w, 3) uint8.

    Parameters
    ----------
    data : the encoded image
    out : contiguous (h, w, 3) uint8 that takes the pixels and is returned, if the image has its size
    """
    pixels = _jpeg(data, out)
    if pixels is not None:
        return pixels
    pixels = np.asarray(_pil(data))
    if out is None or out.shape != pixels.shape:
        return pixels
    out[...] = pixels
    return out


def _jpeg(data: bytes, out: np.ndarray | None = None) -> np.ndarray | None:
    """Pixels of a plain and intact JPEG, exactly as PIL's but in a third of the time; None for anything else."""
    if not simplejpeg.is_jpeg(data):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in _COLOURS:
            return None
        if out is None or out.shape != (height, width, 3):
            out = np.empty((height, width, 3), np.uint8)
        return simplejpeg.decode_jpeg(data, buffer=out)
    except ValueError:  # damaged: PIL may tolerate it, or says what is wrong
        return None


def _pil(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.convert("RGB")
    except UnidentifiedImageError as error:  # PIL's message names a buffer in memory
        raise ValueError("it is not in a known image format") from error


def square(image: Image.Image, side: int) -> Image.Image:
    """The largest centred square of an image, at `side` pixels."""
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)


def check_classes(found: int, classes: int, where: object, remedy: str = "") -> None:
    """Raise ValueError unless the number of classes found equals the number configured."""
    if found != classes:
        raise ValueError(f"{where} holds {found} classes, but `classes` says {classes}{remedy}")
