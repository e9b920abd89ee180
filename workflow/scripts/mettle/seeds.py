"""Seeds: one of its own for everything that is drawn, from the seed of the run and what it is drawn for."""

import hashlib
import json


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts and their order; the same on every machine.

    Raises
    ------
    ValueError
        If a part is None, as the seed of a job is whose rule says that nothing is drawn.
    """
    if None in parts:
        raise ValueError(
            f"this is a bug: something is drawn from {parts}, but the rule of this job has no param `seed`"
        )
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
