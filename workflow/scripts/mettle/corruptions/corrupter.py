"""The registry of corruptions, and how one is applied to an image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from mettle import schema
from mettle.corruptions import blur, digital, noise, weather
from mettle.corruptions.names import SEVERITIES
from mettle.corruptions.parameters import FAMILIES
from mettle.corruptions.textures import textures
from mettle.seeds import derive

SMALLEST = 32  # pixels a side


@dataclass(frozen=True)
class Corruption:
    """A type of corruption.

    Attributes
    ----------
    run : of (float32 image (h, w, 3) in [0, 1], generator, parameters of the severity), the corrupted image
    draws : whether anything is drawn
    """

    run: Callable[..., np.ndarray]
    draws: bool = True


CORRUPTIONS = {
    "gaussian_noise": Corruption(noise.gaussian_noise),
    "shot_noise": Corruption(noise.shot_noise),
    "impulse_noise": Corruption(noise.impulse_noise),
    "defocus_blur": Corruption(blur.defocus_blur, draws=False),
    "glass_blur": Corruption(blur.glass_blur),
    "motion_blur": Corruption(blur.motion_blur),
    "zoom_blur": Corruption(blur.zoom_blur, draws=False),
    "snow": Corruption(weather.snow),
    "frost": Corruption(weather.frost),
    "fog": Corruption(weather.fog),
    "brightness": Corruption(digital.brightness, draws=False),
    "contrast": Corruption(digital.contrast, draws=False),
    "elastic_transform": Corruption(digital.elastic_transform),
    "pixelate": Corruption(digital.pixelate, draws=False),
    "jpeg_compression": Corruption(digital.jpeg_compression, draws=False),
    "speckle_noise": Corruption(noise.speckle_noise),
    "gaussian_blur": Corruption(blur.gaussian_blur, draws=False),
    "spatter": Corruption(weather.spatter),
    "saturate": Corruption(digital.saturate, draws=False),
}
schema.check_registry("corruptions.types", CORRUPTIONS)
# Other operators than those of images of any size.
_VARIANTS: dict[str, dict[str, Callable[..., np.ndarray]]] = {
    "imagecorruptions": {},
    "imagenet_c": {
        "elastic_transform": digital.elastic_affine,
        "pixelate": partial(digital.pixelate, boxed=True),
        "snow": partial(weather.snow, rounded_first=True),
        "frost": partial(weather.frost, scale=1.0),
        "fog": partial(weather.fog, least=256),
    },
    "cifar_c": {
        "elastic_transform": partial(digital.elastic_affine, unit=32),
        "pixelate": partial(digital.pixelate, boxed=True),
        "snow": partial(weather.snow, rounded_first=True),
        "frost": partial(weather.frost, scale=0.2),
    },
}


@dataclass(frozen=True)
class Parity:
    """Slips of the published implementations, to compare with numbers that were made with them.

    Attributes
    ----------
    truncated : pixels are cut off instead of rounded to 8 bits
    copied_glass : glass blur copies a pixel over its neighbour, where the two should change places
    five_frosts : the sixth texture of frost is never drawn
    corner_zoom : zoom blur cuts its copies at the upper left corner instead of their centre
    bgr : the image's channels are taken in reversed order, as OpenCV reads them
    """

    truncated: bool = False
    copied_glass: bool = False
    five_frosts: bool = False
    corner_zoom: bool = False
    bgr: bool = False


@dataclass(frozen=True)
class Corrupter:
    """A family of corruptions, ready to be applied.

    Attributes
    ----------
    family : key of `FAMILIES`: `imagecorruptions` for images of any size, `imagenet_c`, `cifar_c`
    seed : of the run
    parity : slips that are reproduced
    frosts : textures of frost, float32 (h, w, 3) in [0, 1]; without it, those of mettle

    Raises
    ------
    ValueError
        If there is no such family.
    """

    family: str = "imagecorruptions"
    seed: int = 0
    parity: Parity = Parity()
    frosts: Sequence[np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown family of corruptions '{self.family}'{schema.suggest(self.family, FAMILIES)}")

    def __call__(self, image: np.ndarray, name: str, severity: int, key: int | str) -> np.ndarray:
        """A corrupted image, uint8 (h, w, 3); the same bytes for the same arguments, in any order and process.

        Parameters
        ----------
        image : RGB, uint8 (h, w, 3), or grey, (h, w), which comes back with three channels
        name : key of `CORRUPTIONS`
        severity : 1 to 5
        key : of the image; with the seed, the name and the severity it decides what is drawn

        Raises
        ------
        ValueError
            If there is no such corruption or severity, or the image is none of these or smaller than 32 pixels.
        """
        check(name, severity)
        pixels = _checked(image)
        if self.parity.bgr:
            pixels = pixels[..., ::-1]
        rng = np.random.default_rng(derive(self.seed, "corruption", name, severity, key))
        found = self._run(name)(pixels.astype(np.float32) / 255, rng, *_parameters(self.family, name, severity))
        made = _bytes(found, self.parity.truncated)
        return np.ascontiguousarray(made[..., ::-1] if self.parity.bgr else made)

    def _run(self, name: str) -> Callable[..., np.ndarray]:
        run = _VARIANTS[self.family].get(name, CORRUPTIONS[name].run)
        return partial(run, **self._options(name))

    def _options(self, name: str) -> Mapping[str, Any]:
        if name == "frost":
            found = textures() if self.frosts is None else self.frosts
            return {"textures": found[:5] if self.parity.five_frosts else found}
        own = {"glass_blur": {"copies": self.parity.copied_glass}, "zoom_blur": {"corner": self.parity.corner_zoom}}
        return own.get(name, {})


def check(name: str, severity: int) -> None:
    """Raise ValueError unless there is a corruption of this name and severity."""
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption '{name}'{schema.suggest(name, CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity} of {name}: severities are 1 to 5; 0, the clean image, is none")


def _checked(image: np.ndarray) -> np.ndarray:
    """The image with three channels."""
    if image.dtype != np.uint8:
        raise ValueError(f"corruptions take images of 8 bits, got {image.dtype}: convert them first")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"corruptions take grey images (h, w) or RGB (h, w, 3), got {image.shape}: drop other channels"
        )
    if min(image.shape[:2]) < SMALLEST:
        raise ValueError(f"corruptions take images of {SMALLEST} pixels a side or more, got {image.shape[:2]}")
    return image


def _parameters(family: str, name: str, severity: int) -> tuple:
    found = FAMILIES[family][name][severity - 1]
    return found if isinstance(found, tuple) else (found,)


def _bytes(image: np.ndarray, truncated: bool) -> np.ndarray:
    scaled = np.multiply(image, np.float32(255))
    if not truncated:
        scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


cv2.setNumThreads(0)  # a job's threads are worker processes, one image each
