"""Whether this machine has a CUDA device, asked of its driver: not every environment has torch."""

import ctypes
from functools import cache


@cache
def is_available() -> bool:
    """Whether the driver of this machine reports a CUDA device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
