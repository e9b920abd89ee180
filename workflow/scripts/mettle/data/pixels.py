"""From an image file as it was found to one that every decoder turns into the picture that people see."""

import io
import struct

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mettle.data.item import decode_array, png

# Modes that become RGB in one way only.
_PLAIN = ("1", "L", "P", "RGB")
_ALPHA = ("LA", "PA", "RGBA")
_PNG = b"\x89PNG\r\n\x1a\n"


def plain(data: bytes) -> bytes:
    """An image that all decoders agree on: the given bytes if they do, else a lossless PNG in RGB.

    The orientation (EXIF) is applied, 16 bits are scaled to 8, and transparent pixels are put on white. Colour profiles
    are ignored. The whole image is decoded.

    Raises
    ------
    ValueError
        If the image has several frames, numbers without a known range, or is otherwise not a single picture.
    OSError, SyntaxError
        If it is damaged, whatever PIL raises.
    """
    if _is_simple(data):
        decode_array(data)
        return data
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check(image, data)
            if _is_plain(image, data):
                decode_array(data)
                return data
            turned = ImageOps.exif_transpose if _is_turned(image) else Image.Image.copy
            return png(np.asarray(_seen(turned(image))))
    except UnidentifiedImageError as error:  # PIL's message names a buffer in memory
        raise ValueError("it is not in a known image format") from error


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded image, from its header."""
    if data.startswith(_PNG):
        return struct.unpack(">II", data[16:24])
    if simplejpeg.is_jpeg(data):
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return width, height
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def _is_simple(data: bytes) -> bool:
    """Whether the bytes are a PNG of 8 bits in grey or RGB with nothing before the pixels, as `png` makes it."""
    return data.startswith(_PNG) and data[24:26] in (b"\x08\x00", b"\x08\x02") and data[37:41] == b"IDAT"


def _depth(image: Image.Image, data: bytes) -> int:
    """Bits of a channel in a PNG file: PIL silently keeps the upper 8 of 16."""
    return data[24] if image.format == "PNG" else 8


def _check(image: Image.Image, data: bytes) -> None:
    """Raise ValueError for anything but a single picture."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a photograph with previews after it
        raise ValueError(f"it is a {image.format} of {frames} frames: keep one of them")
    if image.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(262) == 0:
        raise ValueError("it is a TIFF of 16 bits in which 0 is white: save it as PNG")
    if image.mode not in (*_PLAIN, *_ALPHA, "CMYK", "YCbCr") and not image.mode.startswith("I;16"):
        raise ValueError(
            f"it is a {image.format} of mode '{image.mode}', whose numbers have no known range or colours: save it "
            "with 8 or 16 bits per channel"
        )
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "I;16") and _depth(image, data) != 8:
        raise ValueError("it is a PNG with a transparent colour of other than 8 bits: save it with an alpha channel")


def _is_plain(image: Image.Image, data: bytes) -> bool:
    clear = image.mode in _PLAIN and "transparency" not in image.info
    return clear and not _is_turned(image) and _depth(image, data) <= 8


def _is_turned(image: Image.Image) -> bool:
    """Whether viewers turn or mirror an image; damaged metadata of a camera are ignored."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):  # PIL knows all of these
        return False


def _seen(image: Image.Image) -> Image.Image:
    """A decoded image in RGB, 8 bits per channel."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode not in _ALPHA and "transparency" not in image.info:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
