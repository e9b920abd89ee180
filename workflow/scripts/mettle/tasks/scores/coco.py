"""
What COCO evaluates detections at, and how a detection's outcomes are packed into bits.

Lin et al. 2014, arXiv:1405.0312; numbers and conventions are those of `pycocotools.cocoeval`.
"""

from collections.abc import Sequence

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of intersection over union
RECALLS = np.linspace(0, 1, 101)  # at which precision is read
# Smallest and largest area in pixels, both included.
RANGES = {"all": (0, 1e5**2), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e5**2)}
MOST = 100  # detections of a class in an image; those of lower scores are not evaluated


def in_ranges(areas: np.ndarray) -> np.ndarray:
    """Which of `RANGES` areas (n,) are in, bool (ranges, n)."""
    low, high = np.array(list(RANGES.values()), np.float64).T[..., None]
    return (low <= areas) & (areas <= high)


def pack(flags: np.ndarray) -> np.ndarray:
    """Flags, bool (bits, n), as int64 (n,): flag `i` is bit `i`."""
    bits = np.arange(len(flags), dtype=np.int64)[:, None]
    return (flags.astype(np.int64) << bits).sum(0)


def unpack(packed: np.ndarray, bits: Sequence[int]) -> np.ndarray:
    """Some bits of packed flags (n,), bool (bits, n)."""
    return (packed.astype(np.int64) >> np.asarray(bits, np.int64)[:, None] & 1).astype(bool)


def outcome_bits(area: str, thresholds: Sequence[int] = range(len(THRESHOLDS))) -> list[int]:
    """Bits of a detection's outcomes in an area range, a key of `RANGES`, at thresholds given by their positions."""
    first = list(RANGES).index(area) * len(THRESHOLDS)
    return [first + position for position in thresholds]


def object_bit(area: str) -> int:
    """Bit that says whether an object counts in an area range, a key of `RANGES`."""
    return list(RANGES).index(area)


def ranks(groups: np.ndarray) -> np.ndarray:
    """For every element (n,), how many of the same value come before it."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=np.nan))
    found = np.empty(len(groups), np.int64)
    found[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return found
