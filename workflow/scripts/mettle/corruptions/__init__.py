"""
Common corruptions of images: 15 types at five severities, and four more that are held out.

Hendrycks & Dietterich 2019 (arXiv:1903.12261); for images of any size, Michaelis et al. 2019 (arXiv:1907.07484).
NumPy, SciPy, OpenCV and Numba; no torch.
"""

from mettle.corruptions.corruption import (
    BENCHMARK,
    CORRUPTIONS,
    GROUPS,
    SEVERITIES,
    Corrupter,
    Corruption,
    Parity,
    check,
)
from mettle.corruptions.parameters import FAMILIES

__all__ = [
    "BENCHMARK",
    "CORRUPTIONS",
    "FAMILIES",
    "GROUPS",
    "SEVERITIES",
    "Corrupter",
    "Corruption",
    "Parity",
    "check",
]
