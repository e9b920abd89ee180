"""Images, classes and distances of pixels as pictures for people, encoded to be small."""

import colorsys
import io

import numpy as np
from PIL import Image

SMALL = 128  # pixels of the longer side up to which encoding is lossless
_LONGEST = 512  # larger pictures are scaled down to it
_QUALITY = 88  # of JPEG
_GOLDEN = 0.618034  # of the circle of hues; its multiples stay apart
_FADED = 0.35  # opacity of an image under the colours of its classes
# Viridis by Smith and van der Walt (CC0), at even steps; reversed here, so that what is near is light.
DISTANCE = np.array([[253, 231, 37], [122, 209, 81], [34, 168, 132], [42, 120, 142], [65, 68, 135], [68, 1, 84]])
_NO_DISTANCE = (215, 245)  # greys of the hatching


def colour(label: int) -> tuple[int, int, int]:
    """Colour of a class: the hues of neighbours lie far apart, and their brightness differs."""
    hue, value = label * _GOLDEN % 1, (0.95, 0.75, 0.55)[label // 2 % 3]
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8, value))


def classes_over(image: np.ndarray, labels: np.ndarray, ignore: int | None) -> np.ndarray:
    """An image in grey under the colours of its classes, uint8 (h, w, 3); what is ignored stays grey.

    Parameters
    ----------
    image : uint8 (h, w, 3)
    labels : class of each pixel, (h, w)
    ignore : value of ignored pixels
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    values, places = np.unique(labels, return_inverse=True)
    colours = np.array([colour(int(value)) for value in values])[places.reshape(labels.shape)]
    mixed = _FADED * grey + (1 - _FADED) * colours
    if ignore is not None:
        mixed[labels == ignore] = grey[labels == ignore]
    return mixed.round().astype(np.uint8)


def distances(metres: np.ndarray, low: float, high: float) -> np.ndarray:
    """Distances (h, w) as uint8 (h, w, 3), from `low`, light, to `high`, dark; hatched where there is none."""
    place = np.clip((metres - low) / max(high - low, 1e-9), 0, 1) * (len(DISTANCE) - 1)
    steps = np.arange(len(DISTANCE))
    colours = np.stack([np.interp(place, steps, channel) for channel in DISTANCE.T], axis=-1)
    rows, columns = np.indices(metres.shape)
    hatched = np.where((rows + columns) // 4 % 2, *_NO_DISTANCE)[..., None]
    return np.where(metres[..., None] == 0, hatched, colours).round().astype(np.uint8)


def thumbnail(pixels: np.ndarray, longest: int) -> bytes:
    """PNG of a picture, uint8 (h, w, 3), reduced where its longer side exceeds `longest` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def preview(pixels: np.ndarray) -> tuple[str, bytes]:
    """Kind (png or jpeg) and bytes of a picture, uint8 (h, w, 3), whose longer side is 512 pixels or shorter."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(buffer, "PNG", optimize=True)
        return "png", buffer.getvalue()
    image.thumbnail((_LONGEST, _LONGEST))
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "jpeg", buffer.getvalue()
