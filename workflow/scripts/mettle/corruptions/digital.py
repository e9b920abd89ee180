"""Digital: contrast, colour, elastic deformation, pixelation, compression."""

import cv2
import numpy as np

from mettle.corruptions.blur import smoothed

Image = np.ndarray  # float32 (h, w, 3) in [0, 1]


def contrast(image: Image, rng: np.random.Generator, factor: float) -> Image:
    """Each channel drawn towards its mean by this factor."""
    means = image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return (image - means) * np.float32(factor) + means


def brightness(image: Image, rng: np.random.Generator, more: float) -> Image:
    """The value of HSV raised by `more`, at the same hue and saturation."""
    value = image.max(axis=2, keepdims=True)
    raised = np.minimum(value + np.float32(more), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(value > 0, image * (raised / value), raised)


def saturate(image: Image, rng: np.random.Generator, gain: float, offset: float) -> Image:
    """The saturation of HSV multiplied and shifted, at the same hue and value; grey takes the hue of red."""
    value, least = image.max(axis=2, keepdims=True), image.min(axis=2, keepdims=True)
    spread = value - least
    with np.errstate(divide="ignore", invalid="ignore"):
        saturation = np.where(value > 0, spread / value, 0)
        pure = np.where(spread > 0, (value - image) / spread, np.float32([0, 1, 1]))
    raised = np.clip(saturation * np.float32(gain) + np.float32(offset), 0, 1)
    return value * (1 - raised * pure)


def jpeg_compression(image: Image, rng: np.random.Generator, quality: int) -> Image:
    """Through a JPEG file of this quality, 4:2:0."""
    pixels = np.rint(image * 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255


def pixelate(image: Image, rng: np.random.Generator, scale: float) -> Image:
    """Reduced to `scale` of its sides by the mean of each cell, and enlarged again by the nearest pixel."""
    small = image
    for axis in (1, 0):
        small = np.rint(_boxed(small, axis, int(image.shape[axis] * scale)) * 255) / np.float32(255)
    rows, columns = (
        ((np.arange(side) + 0.5) * there / side).astype(int)
        for side, there in zip(image.shape[:2], small.shape[:2], strict=True)
    )
    return small[rows][:, columns]


def _boxed(image: Image, axis: int, count: int) -> Image:
    """Means of `count` cells along an axis; a cell holds the pixels whose centres lie in it."""
    side = image.shape[axis]
    scale = side / count
    centres = (np.arange(count) + 0.5) * scale
    low = (centres - 0.5 * scale + 0.5).astype(int)
    high = np.minimum((centres + 0.5 * scale + 0.5).astype(int), side)
    weights = np.zeros((count, side), np.float32)
    for cell in range(count):
        inside = np.arange(low[cell], high[cell])
        offset = (inside - centres[cell] + 0.5) / scale
        weights[cell, inside] = (offset > -0.5) & (offset <= 0.5)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis).astype(np.float32)


def elastic_transform(image: Image, rng: np.random.Generator, gain: float) -> Image:
    """Every pixel moved by a smooth random displacement; the variant of images of any size.

    Displacements are uniform up to 1/200 of the height, smoothed over 1 % of each side, and multiplied by `gain`.
    """
    height, width = image.shape[:2]
    moved = []
    for places in np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)):
        noise = (rng.random((height, width), np.float32) * 2 - 1) * np.float32(height * 0.005)
        smooth = smoothed(noise, (height * 0.01, width * 0.01), truncate=3, border=cv2.BORDER_REFLECT)
        moved.append(places + smooth * np.float32(gain))
    return cv2.remap(image, *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
