"""How numbers are written for people."""

import math
from collections.abc import Sequence

NORMS = {"l1": "L1", "l2": "L2", "linf": "Linf", "linf_normalised": "normalised Linf"}


def eps_text(eps: float) -> str:
    """A radius in pixel range [0, 1] as people write it: `0`, `0.5`, or `4/255` where that is shorter.

    Two radii that differ never read the same.
    """
    eps = float(eps)
    plain, steps = f"{eps:g}", f"{eps * 255:g}"
    forms = ((plain, float(plain)), (f"{steps}/255", float(steps) / 255))
    exact = [text for text, value in forms if math.isclose(value, eps, rel_tol=1e-12)]
    return min(exact, key=len, default=repr(eps))


def ball_text(norm: str, eps: float) -> str:
    """Norm and radius of a ball, `Linf 4/255`."""
    return f"{NORMS[norm]} {eps_text(eps)}"


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width in pixels of a `size`, which is the side of a square or [height, width]."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def size_text(size: int | Sequence[int]) -> str:
    """A `size` in pixels, `224x224`: height x width."""
    return "x".join(map(str, sides(size)))
