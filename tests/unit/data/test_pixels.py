"""Every kind of pixel that a library opens becomes the picture that a person sees, or is refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mettle.data.item import decode_array, png
from mettle.data.pixels import plain, size_of

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 10, 3), np.uint8)
GREY = RGB[..., 0]
ALPHA = RNG.integers(0, 256, (7, 10), np.uint8)
ALPHA[0] = 255
ALPHA[1] = 0
DEEP = RNG.integers(0, 65536, (7, 10), np.uint16)
DOWN, RIGHT = np.mgrid[60:180:16j, 40:200:16j]
SMOOTH = np.dstack([RIGHT, DOWN, np.full((16, 16), 90)]).astype(np.uint8)


def file(image, kind="PNG", **options):
    """An image as bytes of a file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def raw_png(samples, depth, colour, *chunks):
    """A PNG of any bit depth, written by hand: samples (h, w) or (h, w, channels) of whole numbers."""
    h, w = samples.shape[:2]
    flat = samples.reshape(h, -1)
    bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(h, -1).astype(np.uint8), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def grey(values):
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, 2)


def on_white(colours, alpha):
    share = alpha[..., None] / 255
    return np.rint(colours * share + 255 * (1 - share))


def turned(kind, **options):
    """A file that viewers turn by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return file(SMOOTH[:12] if kind == "JPEG" else RGB, kind, exif=exif, **options)


LOW = {bits: RNG.integers(0, 1 << bits, (7, 10)) for bits in (1, 2, 4)}
PALETTE = RNG.integers(0, 256, (16, 3), np.uint8)
PLTE = (b"PLTE", PALETTE.tobytes())
WITH_ALPHA = np.dstack([RGB, ALPHA])
QUANTISED = Image.fromarray(RGB).quantize(64)

# Files that every decoder reads alike: bytes, and the picture they show.
KEPT = {
    "PNG, RGB": (file(RGB), RGB),
    "PNG, grey of 8 bits": (file(GREY), grey(GREY)),
    **{f"PNG, grey of {n} bits": (raw_png(LOW[n], n, 0), grey(LOW[n] * (255 // ((1 << n) - 1)))) for n in LOW},
    "PNG, palette": (raw_png(LOW[4], 4, 3, PLTE), PALETTE[LOW[4]]),
    "GIF of one frame": (file(QUANTISED, "GIF"), np.asarray(QUANTISED.convert("RGB"))),
    "WebP": (file(RGB, "WEBP", lossless=True), RGB),
    "TIFF": (file(RGB, "TIFF"), RGB),
    "BMP": (file(RGB, "BMP"), RGB),
    "JPEG, grey": (file(np.full((8, 8), 77, np.uint8), "JPEG"), np.full((8, 8, 3), 77)),
    "JPEG upright by EXIF": (file(np.full((8, 8, 3), 77, np.uint8), "JPEG", exif=Image.Exif()), np.full((8, 8, 3), 77)),
}
# Files that decoders read in different ways, and the picture that a person sees.
MADE_PLAIN = {
    "PNG, grey of 16 bits": (file(DEEP), grey(np.rint(DEEP / 257))),
    "PNG, RGB of 16 bits": (raw_png(np.dstack([DEEP] * 3), 16, 2), grey(DEEP >> 8)),
    "PNG, RGB and alpha of 16 bits": (
        raw_png(np.dstack([DEEP] * 3 + [np.full_like(DEEP, 65535)]), 16, 6),
        grey(DEEP >> 8),
    ),
    "TIFF, grey of 16 bits": (file(DEEP, "TIFF"), grey(np.rint(DEEP / 257))),
    "JPEG 2000, grey of 16 bits": (file(DEEP, "JPEG2000"), grey(np.rint(DEEP / 257))),
    "PNG, RGB and alpha": (file(WITH_ALPHA), on_white(RGB, ALPHA)),
    "PNG, grey and alpha": (file(np.dstack([GREY, ALPHA])), on_white(grey(GREY), ALPHA)),
    "WebP with alpha": (file(WITH_ALPHA, "WEBP", lossless=True, exact=True), on_white(RGB, ALPHA)),
    "TIFF with alpha": (file(WITH_ALPHA, "TIFF"), on_white(RGB, ALPHA)),
    "PNG, palette with alpha": (
        raw_png(LOW[4], 4, 3, PLTE, (b"tRNS", bytes(range(0, 160, 10)))),
        on_white(PALETTE[LOW[4]], np.arange(0, 160, 10)[LOW[4]]),
    ),
    "PNG, a transparent grey": (
        raw_png(GREY, 8, 0, (b"tRNS", struct.pack(">H", int(GREY[3, 3])))),
        np.where(grey(GREY) == GREY[3, 3], 255, grey(GREY)),
    ),
    "PNG, a transparent colour": (
        raw_png(RGB, 8, 2, (b"tRNS", struct.pack(">HHH", *map(int, RGB[3, 3])))),
        np.where((RGB[3, 3] == RGB).all(2, keepdims=True), 255, RGB),
    ),
    "GIF, transparent": (
        file(QUANTISED, "GIF", transparency=5),
        np.where((np.asarray(QUANTISED) == 5)[..., None], 255, np.asarray(QUANTISED.convert("RGB"))),
    ),
    "JPEG, CMYK": (file(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=100), SMOOTH),
    "TIFF, CMYK": (file(Image.fromarray(RGB).convert("CMYK"), "TIFF"), RGB),
    "JPEG, turned": (turned("JPEG", quality=100, subsampling=0), np.rot90(SMOOTH[:12], -1)),
    "PNG, turned": (turned("PNG"), np.rot90(RGB, -1)),
    "WebP, turned": (turned("WEBP", lossless=True), np.rot90(RGB, -1)),
    "TIFF, turned": (turned("TIFF"), np.rot90(RGB, -1)),
}
FRAMES = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]


def frames(kind, **options):
    return file(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], **options)


# Files that are no one picture, and what is said of them.
REFUSED = {
    "GIF": (frames("GIF"), "it is a GIF of 2 frames: keep one of them"),
    "APNG": (frames("PNG"), "it is a PNG of 2 frames"),
    "animated WebP": (frames("WEBP", lossless=True), "it is a WEBP of 2 frames"),
    "TIFF of two pages": (frames("TIFF"), "it is a TIFF of 2 frames"),
    "TIFF, whole numbers of 32 bits": (file(DEEP.astype(np.int32), "TIFF"), "it is a TIFF of mode 'I', whose numbers"),
    "TIFF, floating point": (file(DEEP.astype(np.float32), "TIFF"), "it is a TIFF of mode 'F', whose numbers have no"),
    "PGM of 16 bits": (file(DEEP, "PPM"), "it is a PPM of mode 'I'"),
    "TIFF, CIELAB": (file(Image.merge("LAB", [Image.fromarray(GREY)] * 3), "TIFF"), "it is a TIFF of mode 'LAB'"),
    "TIFF of 16 bits, 0 is white": (
        file(DEEP, "TIFF", tiffinfo={262: 0}),
        "it is a TIFF of 16 bits in which 0 is white",
    ),
    "PNG, a transparent grey of 4 bits": (
        raw_png(LOW[4], 4, 0, (b"tRNS", b"\0\3")),
        "it is a PNG with a transparent colour of other than 8 bits",
    ),
    "PNG, a transparent colour of 16 bits": (
        raw_png(np.dstack([DEEP] * 3), 16, 2, (b"tRNS", b"\0\3\0\3\0\3")),
        "it is a PNG with a transparent colour of other than 8 bits",
    ),
    "no image": (b"text", "it is not in a known image format"),
    "nothing": (b"", "it is not in a known image format"),
    "the head of a PNG": (file(RGB)[:20], ""),
}


@pytest.mark.parametrize(("data", "picture"), KEPT.values(), ids=KEPT)
def test_what_all_decoders_read_alike_keeps_its_bytes(data, picture):
    assert plain(data) is data
    assert np.array_equal(decode_array(data), picture)


@pytest.mark.parametrize(("data", "picture"), MADE_PLAIN.values(), ids=MADE_PLAIN)
def test_anything_else_becomes_a_png_of_the_picture_that_a_person_sees(data, picture):
    made = plain(data)
    with Image.open(io.BytesIO(made)) as image:
        assert image.format == "PNG" and image.mode == "RGB" and not image.info
    found = decode_array(made).astype(float)
    assert found.shape == picture.shape
    lossy = data.startswith(b"\xff\xd8")
    assert np.abs(found - picture).max() <= (3 if lossy else 1)  # levels of 255; one for the rounding of alpha
    assert plain(made) is made


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_one_picture_is_refused_by_name(data, message):
    with pytest.raises((ValueError, OSError, SyntaxError), match=f"^{message}"):
        plain(data)


def test_a_photograph_with_its_preview_is_the_photograph():
    data = file(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
    assert plain(data) is data
    assert np.array_equal(decode_array(data), decode_array(file(FRAMES[0], "JPEG")))


@pytest.mark.parametrize("value", [1, 0, 9])
def test_an_orientation_that_turns_nothing_keeps_the_bytes(value):
    exif = Image.Exif()
    exif[0x0112] = value
    data = file(RGB, "JPEG", exif=exif)
    assert plain(data) is data


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("notes", [b"", b"nonsense" * 5, b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 9])
def test_damaged_notes_of_a_camera_turn_nothing(notes):
    data, body = file(RGB, "JPEG"), b"Exif\0\0" + notes
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    assert plain(data) is data
    alpha = raw_png(WITH_ALPHA, 8, 6, (b"eXIf", notes))
    assert np.abs(decode_array(plain(alpha)) - on_white(RGB, ALPHA)).max() <= 1


def test_half_an_image_is_refused():
    for data in (file(WITH_ALPHA), file(DEEP), turned("JPEG")):
        with pytest.raises((OSError, SyntaxError, ValueError)):
            plain(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_the_size_is_in_the_head(kind):
    assert size_of(file(RGB, kind)) == (10, 7)


def test_what_we_make_is_taken_without_a_look(monkeypatch):
    monkeypatch.setattr("mettle.data.pixels._check", None)
    assert plain(png(RGB))
