"""Loops over pixels that NumPy and OpenCV do not have, compiled by Numba."""

from functools import partial

import numpy as np

from mettle.compiled import compiled


@compiled
def poisson_counts(
    pixels: np.ndarray, uniform: np.ndarray, cumulative: np.ndarray, guide: np.ndarray, counts: np.ndarray
) -> None:
    """Poisson counts by inversion, into `counts`.

    Parameters
    ----------
    pixels : uint8 (n,)
    uniform : float64 (n,) in [0, 1)
    cumulative : float64 (256, most + 1), distribution function of the counts of each grey level, 1 at the end
    guide : int (256, parts), least count whose distribution function exceeds each part of [0, 1): where to begin
    counts : float32 (n,)
    """
    parts = guide.shape[1]
    for index in range(len(pixels)):
        level, draw = pixels[index], uniform[index]
        count = guide[level, int(draw * parts)]
        while cumulative[level, count] <= draw:
            count += 1
        counts[index] = count


@compiled
def shuffle(image: np.ndarray, shifts: np.ndarray, most: int, copies: bool) -> None:
    """Exchange every pixel with a neighbour, once per round, from the last to the first, in place.

    Parameters
    ----------
    image : (h, w, channels)
    shifts : int8 (rounds, h - 2 most, w - 2 most, 2), columns and rows to the neighbour, in visiting order
    most : pixels at the border that are not visited
    copies : whether the neighbour is copied only, and the pixel itself lost
    """
    height, width, channels = image.shape
    for turn in range(shifts.shape[0]):
        for i in range(shifts.shape[1]):
            row = height - most - i
            for j in range(shifts.shape[2]):
                column = width - most - j
                there, beside = row + shifts[turn, i, j, 1], column + shifts[turn, i, j, 0]
                for channel in range(channels):
                    kept = image[row, column, channel]
                    image[row, column, channel] = image[there, beside, channel]
                    if not copies:
                        image[there, beside, channel] = kept


@partial(compiled, fastmath=True)
def add_zoomed(image: np.ndarray, rows: np.ndarray, columns: np.ndarray, total: np.ndarray) -> None:
    """Add an image, interpolated linearly at a grid of coordinates, to `total`.

    Parameters
    ----------
    image : float32 (h, w, 3)
    rows, columns : float32 (height,), (width,), coordinates in [0, h - 1] and [0, w - 1]
    total : float32 (height, width, 3)
    """
    height, width = len(rows), len(columns)
    first, last = int(rows[0]), min(int(rows[-1]) + 1, image.shape[0] - 1)
    between = np.empty((last - first + 1, 3 * width), np.float32)
    for row in range(first, last + 1):
        for column in range(width):
            left = min(int(columns[column]), image.shape[1] - 2)
            part = columns[column] - left
            for channel in range(3):
                low, high = image[row, left, channel], image[row, left + 1, channel]
                between[row - first, 3 * column + channel] = low + part * (high - low)
    flat = total.reshape(total.shape[0], -1)
    for row in range(height):
        above = min(int(rows[row]), image.shape[0] - 2)
        part = rows[row] - np.float32(above)
        upper, lower = between[above - first], between[above + 1 - first]
        target = flat[row]
        for index in range(3 * width):
            target[index] += upper[index] + part * (lower[index] - upper[index])


@partial(compiled, fastmath=True)
def resample(
    image: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
    columns: np.ndarray,
    column_weights: np.ndarray,
    out: np.ndarray,
) -> None:
    """Weighted sums of pixels along both axes, into `out`.

    Parameters
    ----------
    image : float32 (h, w, 3)
    rows, columns : (height, taps), (width, taps), the pixels of each sum, rows in ascending order
    row_weights, column_weights : float32, as they
    out : float32 (height, width, 3)
    """
    height, width, taps = len(rows), len(columns), rows.shape[1]
    first, last = rows[0, 0], rows[-1, -1]
    between = np.zeros((last - first + 1, 3 * width), np.float32)
    for row in range(first, last + 1):
        for column in range(width):
            for tap in range(taps):
                place, weight = columns[column, tap], column_weights[column, tap]
                for channel in range(3):
                    between[row - first, 3 * column + channel] += weight * image[row, place, channel]
    flat = out.reshape(height, 3 * width)
    for row in range(height):
        target = flat[row]
        target[:] = 0
        for tap in range(taps):
            source, weight = between[rows[row, tap] - first], row_weights[row, tap]
            for index in range(3 * width):
                target[index] += weight * source[index]


@compiled
def whiten(image: np.ndarray, flakes: np.ndarray, kept: np.float32, out: np.ndarray) -> None:
    """An image mixed with a brighter, grey one, plus flakes and the same flakes turned by 180 degrees, into `out`.

    Parameters
    ----------
    image, out : float32 (h, w, 3)
    flakes : float32 (h, w)
    kept : weight of the image
    """
    height, width = flakes.shape
    for row in range(height):
        for column in range(width):
            red, green, blue = image[row, column]
            grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
            bright = np.float32(1.5) * grey + np.float32(0.5)
            fallen = flakes[row, column] + flakes[height - 1 - row, width - 1 - column]
            for channel in range(3):
                value = image[row, column, channel]
                mixed = kept * value + (np.float32(1) - kept) * max(value, bright)
                out[row, column, channel] = mixed + fallen


@partial(compiled, fastmath=True)
def add_shifted(
    padded: np.ndarray, weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray
) -> None:
    """Weighted sum of shifted copies of an image, into `out` (h, w channels) of zeros.

    Parameters
    ----------
    padded : float32 (h + 2 pad, (w + 2 pad) channels)
    weights : float32 (n,)
    rows, columns : (n,), where each copy begins in `padded`; columns in entries
    """
    height, width = out.shape
    for row in range(height):
        target = out[row]
        for copy in range(len(weights)):
            source = padded[rows[copy] + row, columns[copy] : columns[copy] + width]
            weight = weights[copy]
            for index in range(width):
                target[index] += weight * source[index]


@partial(compiled, fastmath=True)
def convolve_symmetric(padded: np.ndarray, kernel: np.ndarray, step: int, out: np.ndarray) -> None:
    """Convolution with a kernel that is symmetric in rows and in columns, into `out` (h, w channels) of zeros.

    Parameters
    ----------
    padded : float32 (h + 2 reach, (w + 2 reach) channels)
    kernel : float32 (reach + 1, reach + 1), its lower right quarter; row 0 and column 0 are its axes
    step : channels
    """
    (height, width), reach = out.shape, len(kernel) - 1
    pair = np.empty(padded.shape[1], np.float32)
    for row in range(height):
        target = out[row]
        for down in range(reach + 1):
            upper, lower = padded[row + reach - down], padded[row + reach + down]
            scale = np.float32(1) if down else np.float32(0.5)
            for index in range(len(pair)):
                pair[index] = scale * (upper[index] + lower[index])
            for across in range(reach + 1):
                weight = kernel[down, across]
                if weight == 0:
                    continue
                if across == 0:
                    weight *= np.float32(0.5)
                left = pair[(reach - across) * step : (reach - across) * step + width]
                right = pair[(reach + across) * step : (reach + across) * step + width]
                for index in range(width):
                    target[index] += weight * (left[index] + right[index])


@compiled
def raise_value(image: np.ndarray, more: np.float32, out: np.ndarray) -> None:
    """HSV's value raised by `more` up to 1, hue and saturation kept; images (n, 3)."""
    for index in range(len(image)):
        red, green, blue = image[index]
        value = max(red, green, blue)
        raised = min(value + more, np.float32(1))
        scale = raised / value if value > 0 else np.float32(0)
        rest = np.float32(0) if value > 0 else raised
        out[index, 0], out[index, 1], out[index, 2] = red * scale + rest, green * scale + rest, blue * scale + rest


@compiled
def change_saturation(image: np.ndarray, gain: np.float32, offset: np.float32, out: np.ndarray) -> None:
    """HSV's saturation s becomes gain s + offset, in [0, 1], hue and value kept; grey has the hue of red; (n, 3)."""
    for index in range(len(image)):
        red, green, blue = image[index]
        value, least = max(red, green, blue), min(red, green, blue)
        spread = value - least
        saturation = spread / value if value > 0 else np.float32(0)
        changed = min(max(saturation * gain + offset, np.float32(0)), np.float32(1))
        if spread > 0:
            scale = value * changed / spread
            out[index, 0] = value - scale * (value - red)
            out[index, 1] = value - scale * (value - green)
            out[index, 2] = value - scale * (value - blue)
        else:
            out[index, 0] = value
            out[index, 1] = out[index, 2] = value * (1 - changed)
