"""Times taken fairly: those that are compared take turns, and the fastest round of each counts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

COLUMNS = ["what", "ours, s", "peer, s", "ratio", "our value", "peer's value"]


@dataclass
class Row:
    """One line of a table of `COLUMNS`: seconds of ours and the peer's, and the values that must agree."""

    what: str
    ours: float
    peer: float
    value: str
    peer_value: str


def race(rounds: int, *runs: Callable, clock: Callable[[], float] = time.perf_counter) -> list[tuple[float, object]]:
    """Fastest time in seconds and result of each; where there are several rounds, the first does not count."""
    best = [float("inf")] * len(runs)
    results: list[object] = [None] * len(runs)
    for number in range(rounds + (rounds > 1)):
        for place, run in enumerate(runs):
            started = clock()
            results[place] = run()
            if number or rounds == 1:
                best[place] = min(best[place], clock() - started)
    return list(zip(best, results, strict=True))
