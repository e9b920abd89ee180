"""Digital: contrast, colour, elastic deformation, pixelation, compression."""

import io
from functools import lru_cache

import cv2
import numpy as np
import PIL.Image
from PIL.Image import Resampling
from scipy.fft import dctn, idctn

from mettle.corruptions.kernels import change_saturation, raise_value

Image = np.ndarray  # float32 (h, w, 3) in [0, 1]


def contrast(image: Image, rng: np.random.Generator, factor: float) -> Image:
    """Each channel drawn towards its mean by this factor."""
    height, width, _ = image.shape
    means = np.array(cv2.sumElems(image)[:3]) / (height * width)
    row = np.tile(means.astype(np.float32), width)  # NumPy is slow where the last axis has three entries
    found = (image.reshape(height, -1) - row) * np.float32(factor) + row
    return found.reshape(image.shape)


def brightness(image: Image, rng: np.random.Generator, more: float) -> Image:
    """The value of HSV raised by `more`, at the same hue and saturation."""
    out = np.empty_like(image)
    raise_value(image.reshape(-1, 3), np.float32(more), out.reshape(-1, 3))
    return out


def saturate(image: Image, rng: np.random.Generator, gain: float, offset: float) -> Image:
    """The saturation of HSV multiplied and shifted, at the same hue and value; grey takes the hue of red."""
    out = np.empty_like(image)
    change_saturation(image.reshape(-1, 3), np.float32(gain), np.float32(offset), out.reshape(-1, 3))
    return out


def jpeg_compression(image: Image, rng: np.random.Generator, quality: int) -> Image:
    """Through a JPEG file of this quality, 4:2:0."""
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=quality)
    return _unit(PIL.Image.open(file))


def pixelate(image: Image, rng: np.random.Generator, scale: float, *, boxed: bool = False) -> Image:
    """Reduced to `scale` of its sides by the mean of each cell, and enlarged again by the nearest pixel.

    By Pillow, as published: its rounding decides which cell a pixel between two belongs to. `boxed` enlarges by means
    of cells, too, as ImageNet-C does: a pixel between two cells is their mean.
    """
    height, width = image.shape[:2]
    small = _picture(image).resize((int(width * scale), int(height * scale)), Resampling.BOX)
    return _unit(small.resize((width, height), Resampling.BOX if boxed else Resampling.NEAREST))


def _picture(image: Image) -> PIL.Image.Image:
    """The image in 8 bits."""
    return PIL.Image.fromarray(np.rint(image * 255).astype(np.uint8))


def _unit(picture: PIL.Image.Image) -> Image:
    """The image in [0, 1]."""
    return np.asarray(picture).astype(np.float32) / 255


def elastic_transform(image: Image, rng: np.random.Generator, gain: float) -> Image:
    """Every pixel moved by a smooth random displacement.

    Displacements are uniform up to 1/200 of the height, smoothed over 1 % of each side, and multiplied by `gain`.
    """
    height, width = image.shape[:2]
    sigmas = height * 0.01, width * 0.01
    most = np.float32(height * 0.005 * gain)
    return _moved(image, [most * _smooth_noise(rng, (height, width), sigmas) for _ in range(2)])


def elastic_affine(
    image: Image, rng: np.random.Generator, gain: float, sigma: float, jitter: float, *, unit: float = 244
) -> Image:
    """A random affine map, then every pixel moved by a smooth random displacement, as in ImageNet-C.

    Parameters
    ----------
    gain, sigma, jitter : of the displacement, of its smoothing, and of the three points that the affine map moves
    unit : pixels that all three are multiples of; ImageNet-C has 244, a slip for 224
    """
    shape = image.shape[:2]
    centre, reach = np.float32(shape) // 2, min(shape) // 3
    corners = np.float32([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach])
    moved = corners + rng.uniform(-unit * jitter, unit * jitter, corners.shape).astype(np.float32)
    affine = cv2.getAffineTransform(corners, moved)
    image = cv2.warpAffine(image, affine, shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
    if not gain:
        return image
    return _moved(image, [np.float32(gain * unit) * _smooth_noise(rng, shape, (sigma * unit,) * 2) for _ in range(2)])


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigmas: tuple[float, float]) -> np.ndarray:
    """Uniform noise in [-1, 1), blurred by Gaussians that end after three standard deviations; edges are mirrored.

    In the cosine domain, where mirrored edges cost nothing and a wide blur costs no more than a narrow one.
    """
    noise = dctn(rng.random(shape, np.float32) * 2 - 1, type=2)
    for axis, (side, sigma) in enumerate(zip(shape, sigmas, strict=True)):
        answer = _answer(side, sigma)
        noise *= answer[:, None] if axis == 0 else answer
    return idctn(noise, type=2)


@lru_cache(maxsize=256)
def _answer(side: int, sigma: float) -> np.ndarray:
    """What a Gaussian blur makes of each cosine of a side, float32 (side,)."""
    steps = np.arange(1, int(3 * sigma + 0.5) + 1)
    weights = np.exp(-(steps**2) / (2 * max(sigma, 1e-9) ** 2))
    waves = np.cos(np.pi * np.arange(side)[:, None] * steps / side) @ weights
    return ((1 + 2 * waves) / (1 + 2 * weights.sum())).astype(np.float32)


def _moved(image: Image, shifts: list[np.ndarray]) -> Image:
    """The image read at shifted coordinates, those of columns first; edges are mirrored."""
    height, width = image.shape[:2]
    places = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    maps = [place + shift.astype(np.float32) for place, shift in zip(places, shifts, strict=True)]
    return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
