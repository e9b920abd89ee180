"""Loops in machine code, by Numba."""

from collections.abc import Callable

from numba import njit


def compiled(function: Callable, *, fastmath: bool = False) -> Callable:
    """The function in machine code, compiled at its first call and cached for later processes.

    Parameters
    ----------
    function : of arrays and numbers, in the part of Python that Numba knows
    fastmath : whether sums may be taken in another order, and with fused multiply-adds
    """
    try:
        return njit(cache=True, fastmath=fastmath)(function)
    except RuntimeError:  # neither its folder nor the user's cache folder is writable
        return njit(fastmath=fastmath)(function)
