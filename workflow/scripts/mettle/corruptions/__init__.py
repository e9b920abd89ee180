"""
Common corruptions of images: 15 types at five severities, and four more that are held out.

Hendrycks & Dietterich 2019 (arXiv:1903.12261); for images of any size, Michaelis et al. 2019 (arXiv:1907.07484).
Their names are here, because plans and tables need them too. `mettle.corruptions.corrupter` applies them, with NumPy,
SciPy, OpenCV and Numba, and no torch.
"""

from mettle.corruptions.names import ALL, BENCHMARK, GROUPS, SEVERITIES, selected

__all__ = ["ALL", "BENCHMARK", "GROUPS", "SEVERITIES", "selected"]
