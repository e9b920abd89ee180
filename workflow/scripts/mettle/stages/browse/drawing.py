"""Images and their targets as pictures in a page: SVG around PNG or JPEG, so that lines and words stay sharp."""

from collections.abc import Sequence
from html import escape

import numpy as np

from mettle import markup
from mettle.data.item import Object
from mettle.data.preview import DISTANCE, SMALL, classes_over, colour, distances, preview

_LETTERS = 4.5  # height of class names, hundredths of the longer side


def css(label: int) -> str:
    """Colour of a class, as a page names it."""
    return "#{:02x}{:02x}{:02x}".format(*colour(label))


def picture(image: np.ndarray) -> str:
    """An image, uint8 (h, w, 3)."""
    return _svg(image, "")


def label_map(image: np.ndarray, labels: np.ndarray, ignore: int | None) -> str:
    """An image, uint8 (h, w, 3), in grey under the colours of the classes of its pixels (h, w)."""
    return _svg(classes_over(image, labels, ignore), "")


def depth_map(metres: np.ndarray, low: float, high: float) -> str:
    """Distances (h, w) from `low`, light, to `high`, dark; hatched where there is none."""
    return _svg(distances(metres, low, high), "")


def scale(low: float, high: float) -> str:
    """The colours of distances, as a bar with its ends in metres."""
    stops = ", ".join("rgb({},{},{})".format(*colour) for colour in DISTANCE)
    bar = f'<span class="bar" style="background: linear-gradient(to right, {stops})"></span>'
    return f"{low:g} m {bar} {high:g} m"


def objects(image: np.ndarray, found: Sequence[Object], masks: np.ndarray, names: Sequence[str]) -> str:
    """An image with the masks, boxes and class names of its objects; a crowd has a dashed box.

    Parameters
    ----------
    image : uint8 (h, w, 3)
    found : its objects
    masks : bool (objects, h, w); drawn where an object has a mask
    names : names of the classes
    """
    mixed = image.astype(np.float64)
    for one, mask in zip(found, masks, strict=True):
        if one.mask is not None:
            mixed[mask] = 0.5 * mixed[mask] + 0.5 * np.array(colour(one.label))
    unit = max(image.shape[:2]) / 100  # pixels
    lines = "".join(_box(one, unit) for one in found)
    places: list[tuple[float, float, float]] = []
    words = "".join(_name(one, names, unit, places) for one in found)
    return _svg(mixed.round().astype(np.uint8), lines + words)


def _box(one: Object, unit: float) -> str:
    """The box of an object, on a wider one in white, so that it is seen on everything."""
    x0, y0, x1, y1 = one.box
    place = f'x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}" fill="none"'
    dashes = f' stroke-dasharray="{2 * unit:g} {1.5 * unit:g}"' if one.crowd else ""
    below = f'<rect {place} stroke="#fff" stroke-width="{1.1 * unit:g}" stroke-opacity=".7"/>'
    return f'{below}<rect {place} stroke="{css(one.label)}" stroke-width="{0.6 * unit:g}"{dashes}/>'


def _name(one: Object, names: Sequence[str], unit: float, places: list[tuple[float, float, float]]) -> str:
    """The name of an object's class above its box, or further down where another name is; notes its place."""
    name = (names[one.label] if one.label < len(names) else str(one.label)) + (" (crowd)" if one.crowd else "")
    size = _LETTERS * unit
    x, y = one.box[0] + unit / 2, one.box[1] - unit if one.box[1] > 1.1 * size else one.box[1] + size
    end = x + 0.65 * size * len(name)
    while any(abs(y - row) < size and x < right and left < end for left, right, row in places):
        y += size
    places.append((x, end, y))
    style = f'font-size="{size:g}" stroke="#fff" stroke-width="{1.2 * unit:g}" paint-order="stroke" fill="#111"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(name)}</text>'


def _svg(pixels: np.ndarray, lines: str) -> str:
    height, width = pixels.shape[:2]
    small = ' class="small"' if max(width, height) <= SMALL else ""
    place = f'width="{width}" height="{height}" preserveAspectRatio="none"'
    image = f'<image {place} href="{markup.address(*preview(pixels))}"/>'
    return f'<svg{small} viewBox="0 0 {width} {height}">{image}{lines}</svg>'
