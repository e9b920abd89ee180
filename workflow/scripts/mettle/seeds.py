"""Seeds: a separate one for everything random, derived from the seed of the run and its purpose."""

import hashlib
import json


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts and their order; the same on every machine.

    Raises
    ------
    ValueError
        If a part is None, as is the seed of a job whose rule states that nothing is random.
    """
    if None in parts:
        raise ValueError(
            f"this is a bug: random numbers are drawn for {parts}, but the rule of this job has no param `seed`"
        )
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
