"""RTD and RTD-Lite beside those of other projects: CPU seconds of one thread, in one run, equal values first.

Rounds of ours and the peers alternate and the fastest of each counts; the first round, in which ours is compiled, does
not. Peers get the paper's matrix with half of its edges and the enclosing radius, which is faster than what the authors
of RTD hand to theirs. giotto-ph is under the AGPL and shown for information, where it is installed.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np
import record
import torch
from timing import race
from torch import Tensor

from mettle.measures import rtd, sequence

COLUMNS = ["what", "ours, s", "peer, s", "ratio", "our value", "peer's value"]
PEERS = {"ripser": 1e-6, "giotto": 1e-5}  # relative differences allowed: both compute in float32
Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    first_call()
    packages = ["numba", "ripser", *(["giotto-ph"] if find_spec("gph") else [])]
    with record.table("topology", COLUMNS, options, packages=packages) as add:
        for row in (row for cloud in clouds(options.points) for row in rows(*cloud, options.rounds)):
            add(*row)


def rows(what: str, pair: Pair, n: int, rounds: int) -> Iterator[tuple[str, ...]]:
    """Rows of a pair of clouds: RTD in each direction and both, and RTD-Lite."""
    a, b = (rtd.normalised_distances(x) for x in pair)
    for title, directions in (("a to b", [(a, b)]), ("b to a", [(b, a)]), ("both directions", [(a, b), (b, a)])):
        yield from barcodes(f"RTD, {what}, n={n}, {title}", directions, rounds)
    yield lite(f"RTD-Lite, {what}, n={n}", a, b, rounds)


def first_call() -> None:
    """Time to import and compile, or to load what an earlier run compiled, apart from the rounds."""
    started = time.process_time()
    x = np.random.default_rng(0).normal(size=(2, 20, 3))
    sequence.divergences(*(rtd.normalised_distances(y) for y in x), 0.0, 0.0)
    print(f"first call: {time.process_time() - started:.1f} s (compiled code is kept for later runs)")


def clouds(points: int) -> list[tuple[str, Pair, int]]:
    """Kinds of pairs of clouds: name, features of both, points."""
    rng = np.random.default_rng(0)
    plane = rng.random((2, points, 2))
    images = 2 * rng.normal(size=(10, 64))[np.arange(points) % 10] + rng.normal(size=(points, 64))
    networks = [np.maximum(images @ rng.normal(size=(64, 512)), 0) for _ in range(2)]
    unlike = rng.normal(size=(100, 2)), rng.normal(size=(100, 30))
    return [
        ("2-D uniform", (plane[0], plane[1]), points),
        ("512-D features of 10 classes", (networks[0], networks[1]), points),
        ("2-D and 30-D normal", unlike, 100),
    ]


def barcodes(what: str, directions: list[Pair], rounds: int) -> Iterator[tuple[str, ...]]:
    """Rows of one direction or both against barcodes of the cone."""
    a, b = directions[0]
    runs: list[Callable] = [
        (lambda: sequence.divergence(a, b))
        if len(directions) == 1
        else (lambda: sum(sequence.divergences(a, b, sequence.spanning_tree(a), sequence.spanning_tree(b))))
    ]
    known = [engine for engine in PEERS if engine == "ripser" or find_spec("gph")]
    runs += [lambda engine=engine: sum(rtd.divergence(*pair, engine) for pair in directions) for engine in known]
    (ours, value), *others = race(rounds, *runs, clock=time.process_time)
    for engine, (peer, theirs) in zip(known, others, strict=True):
        assert abs(value - theirs) <= PEERS[engine] * theirs, (what, engine, value, theirs)
        yield row(f"{what}; peer {engine}", ours, peer, f"{value:.6f}", f"{theirs:.6f}")


def lite(what: str, a: np.ndarray, b: np.ndarray, rounds: int) -> tuple[str, ...]:
    """RTD-Lite of distance matrices against algorithm 2 of its authors, with the steps of their loop in torch."""

    def ours() -> float:
        first, second, least = (sequence.spanning_tree(d) for d in (a, b, np.minimum(a, b)))
        return (first + second) / 2 - least

    def plain() -> float:
        x, y = torch.from_numpy(a), torch.from_numpy(b)
        first, second, least = (prim(d) for d in (x, y, torch.minimum(x, y)))
        return float((first + second) / 2 - least)

    (seconds, value), (peer, theirs) = race(rounds, ours, plain, clock=time.process_time)
    assert abs(value - theirs) < 1e-9, (what, value, theirs)
    return row(f"{what}; peer algorithm 2 in torch", seconds, peer, f"{value:.6f}", f"{theirs:.6f}")


def prim(distances: Tensor) -> Tensor:
    """Weight of a minimum spanning tree: per point, parents and distances to the tree by masks over all points."""
    far = distances.max().item() + 1
    near = torch.full((len(distances),), far, dtype=distances.dtype)
    parent = torch.full((len(distances),), -1)
    inside = torch.zeros(len(distances), dtype=torch.bool)
    total, point = torch.zeros((), dtype=distances.dtype), torch.tensor(0)
    for _ in range(len(distances) - 1):
        inside[point] = True
        parent[near > distances[point]] = point
        near = torch.minimum(near, distances[point])
        near[inside] = far
        point = near.argmin()
        total += distances[point, parent[point]]
    return total


def row(what: str, ours: float, peer: float, value: str, theirs: str) -> tuple[str, ...]:
    """One line of the table."""
    return what, f"{ours:.4f}", f"{peer:.4f}", f"{peer / ours:.1f}", value, theirs


if __name__ == "__main__":
    main()
