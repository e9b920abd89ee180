"""Loops over pixels that NumPy and OpenCV do not have, compiled by Numba."""

import numpy as np
from numba import njit


@njit(cache=True)
def poisson_counts(pixels: np.ndarray, uniform: np.ndarray, cumulative: np.ndarray, counts: np.ndarray) -> None:
    """Poisson counts by inversion, into `counts`.

    Parameters
    ----------
    pixels : uint8 (n,)
    uniform : float64 (n,) in [0, 1)
    cumulative : float64 (256, most + 1), distribution function of the counts of each grey level, 1 at the end
    counts : float32 (n,)
    """
    for index in range(len(pixels)):
        row, draw, count = cumulative[pixels[index]], uniform[index], 0
        low, high = 0, len(row) - 1
        while low < high:
            count = (low + high) // 2
            if row[count] > draw:
                high = count
            else:
                low = count + 1
        counts[index] = low


@njit(cache=True)
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


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
def add_shifted(padded: np.ndarray, weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
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
