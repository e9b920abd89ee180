"""Arrays as pictures for a page: encoded to be small, lossless for small ones."""

import io

import numpy as np
from PIL import Image

SMALL = 128  # pixels of the longer side up to which encoding is lossless
_LONGEST = 512  # larger pictures are scaled down to it
_QUALITY = 88  # of JPEG


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
