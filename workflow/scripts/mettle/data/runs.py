"""
Run lengths: a mask as the compressed text of COCO's annotations and results.

Pixels are counted column by column, first those outside the mask.
"""

import numpy as np

Size = tuple[int, int]  # height, width


def decode(counts: str, size: Size) -> np.ndarray:
    """The mask, bool (h, w), of run lengths for this height and width."""
    runs = lengths(counts)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[::-1]).T


def area(counts: str) -> int:
    """Number of pixels in a mask."""
    return sum(lengths(counts)[1::2])


def lengths(counts: str) -> list[int]:
    """Run lengths of compressed text: of zeros, of ones, of zeros, ...

    A number is written in digits of five bits from the lowest, each with a bit that says whether another follows, as
    the character of code 48 and more; from the fourth on, it is the difference to the number before the last.

    Raises
    ------
    ValueError
        If the text holds another character, or ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise ValueError(f"its run lengths hold the character {character!r}, which has no meaning there")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        value -= (1 << shift) if digit & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its run lengths end within a number")
    return runs
