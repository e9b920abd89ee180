"""Decoding: the quick way gives what PIL gives, value by value, and whatever it cannot do is left to PIL."""

import io

import numpy as np
import pytest
from PIL import Image

from mettle.data import item as module
from mettle.data.item import decode, decode_array, png

SIZES = [(64, 64), (1, 1), (17, 33), (8, 41), (40, 7), (375, 500)]
COARSE = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def pixels(height=64, width=64):
    """Noise over a slope: strong and weak differences between neighbours, in every channel its own."""
    rng = np.random.default_rng(height)
    slope = np.linspace(0, 200, height)[:, None, None] * np.linspace(0.2, 1, width)[:, None] * np.array([1, 0.6, 0.3])
    return (slope + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def encoded(image, kind="JPEG", **options):
    image, buffer = image if isinstance(image, Image.Image) else Image.fromarray(image), io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pil(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def turned():
    """Options of an image that viewers turn by 90 degrees; decoders give it as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


PLAIN = {
    **{f"baseline {name}": {"subsampling": coarse} for name, coarse in COARSE.items()},
    **{f"progressive {name}": {"subsampling": coarse, "progressive": True} for name, coarse in COARSE.items()},
    "best": {"quality": 100},
    "worst": {"quality": 1},
    "no colour transform": {"keep_rgb": True},
    "restarts": {"restart_marker_blocks": 2},
    "turned": turned(),
    "comment and profile": {"comment": b"made", "icc_profile": b"profile"},
}


@pytest.fixture
def no_pil(monkeypatch):
    """Only the quick way is there."""
    monkeypatch.setattr(module, "_pil", None)


@pytest.mark.usefixtures("no_pil")
@pytest.mark.parametrize("options", PLAIN.values(), ids=PLAIN)
def test_plain_jpegs_have_pils_values(options):
    for size in SIZES:
        data = encoded(pixels(*size), **options)
        assert np.array_equal(decode_array(data), by_pil(data)), size
        assert np.array_equal(np.asarray(decode(data)), by_pil(data)), size


@pytest.mark.usefixtures("no_pil")
@pytest.mark.parametrize("progressive", [False, True])
def test_grey_jpegs_become_rgb(progressive):
    for size in SIZES:
        data = encoded(pixels(*size)[..., 0], progressive=progressive)
        assert decode_array(data).shape == (*size, 3)
        assert np.array_equal(decode_array(data), by_pil(data)), size
        assert decode(data).mode == "RGB"


def rgb(mode):
    return Image.fromarray(pixels()).convert(mode)


OTHERS = {
    "cmyk": encoded(rgb("CMYK")),
    "followed by something": encoded(pixels()) + b"more",
    "png": png(pixels()),
    "grey png": encoded(rgb("L"), "PNG"),
    "palette": encoded(rgb("P"), "PNG"),
    "transparent": encoded(rgb("RGBA"), "PNG"),
    "gif": encoded(rgb("P"), "GIF"),
    "webp": encoded(pixels(), "WEBP", lossless=True),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_everything_else_is_pils(data):
    assert np.array_equal(decode_array(data), by_pil(data))
    assert np.array_equal(np.asarray(decode(data)), by_pil(data))
    assert decode(data).mode == "RGB"


@pytest.mark.parametrize("data", [encoded(pixels()), encoded(rgb("L")), png(pixels())], ids=["jpeg", "grey", "png"])
def test_pixels_go_where_they_are_wanted_if_they_fit(data):
    out = np.zeros((64, 64, 3), np.uint8)
    assert np.shares_memory(decode_array(data, out), out)
    assert np.array_equal(out, by_pil(data))
    for size in ((64, 65), (63, 64), (128, 32)):
        other = np.zeros((*size, 3), np.uint8)
        assert np.array_equal(decode_array(data, other), by_pil(data))
        assert not other.any()


def outcome(read, data):
    """Pixels; None for what is refused."""
    try:
        return read(data).tolist()
    except (ValueError, OSError, SyntaxError):  # PIL knows all three
        return None


def test_damaged_jpegs_are_read_or_refused_as_by_pil():
    rng, read = np.random.default_rng(0), 0
    made = [encoded(pixels(24, 31), subsampling=k, progressive=bool(k % 2)) for k in range(3)]
    for trial in range(300):
        data = bytearray(made[trial % 3])
        data[rng.integers(20, len(data) - 2)] ^= 1 << rng.integers(8)
        found = outcome(decode_array, bytes(data))
        assert found == outcome(by_pil, bytes(data)), trial
        read += found is not None
    assert 30 < read < 300, "the damage is all of one kind"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg_is_refused(share, progressive):
    data = encoded(pixels(), progressive=progressive)
    with pytest.raises(OSError, match=r"[Tt]runcated"):
        decode_array(data[: int(len(data) * share)])


@pytest.mark.parametrize("read", [decode, decode_array])
@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_told(read, data):
    with pytest.raises(ValueError, match=r"^it is not in a known image format$"):
        read(data)
