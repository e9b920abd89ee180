"""`make bench`: similarity of models beside the code of others, in one run, equal values first.

All features are float32, as networks give them. Rounds of ours and the peer alternate, the fastest of each counts.
A peer is its published formula (`peers_similarity`), with its library's products: PyTorch, NumPy or scikit-learn.
Ours is held against that formula in float64, and the peer's float32 against ours as far as its own rounding allows.
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np
import peers_similarity as peers
import record
import torch
from threadpoolctl import threadpool_limits
from timing import COLUMNS, Row, race

from mettle import measures


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=10_000, help="fewer for a quick look")
    parser.add_argument("--only", choices=[*BENCHES, "memory"], help="one group of rows")
    parser.add_argument("--memory", action="store_true", help="memory of one comparison, used by the bench itself")
    options = parser.parse_args()
    if options.memory:
        print(growth(options.images))
        return
    torch.set_num_threads(options.threads)
    chosen = [options.only] if options.only in BENCHES else [] if options.only else BENCHES
    if chosen:
        with threadpool_limits(options.threads):
            show((row for name in chosen for row in BENCHES[name](options.rounds, options.images)), options)
    if options.only in (None, "memory"):
        memory(options.images)


def show(rows: Iterator[Row], options: argparse.Namespace) -> None:
    """Print the table, each row as soon as it is known."""
    with record.table("similarity", COLUMNS, options, options.threads, ["numpy", "torch", "scikit-learn"]) as add:
        for row in rows:
            seconds = f"{row.ours:.2f}", f"{row.peer:.2f}", f"{row.peer / row.ours:.1f}"
            add(row.what, *seconds, row.value, row.peer_value)


def networks(models: int, n: int, d: int) -> dict[str, np.ndarray]:
    """Features of `models` related networks: rectified mixtures of 100 shared factors and own noise."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 100), dtype=np.float32)
    made = {}
    for model in range(models):
        mixed = shared @ rng.standard_normal((100, d), dtype=np.float32) / 10
        made[f"model {model}"] = np.maximum(mixed + rng.standard_normal((n, d), dtype=np.float32), 0)
    return made


def versus(
    what: str, name: str, features: dict[str, np.ndarray], peer: Callable, rounds: int, tolerance: float, **options
) -> Iterator[Row]:
    """
    Row of all pairs by `measures.pairwise` and by a function of two arrays, pair by pair.

    Three pairs are computed in float64 by that function too, from which ours may be 1e-6 off; the peer's float32 may be
    off ours by `tolerance`.
    """
    pairs = list(itertools.combinations(features.values(), 2))

    def ours() -> np.ndarray:
        table = measures.pairwise(name, features, **options)[1]
        return table[np.triu_indices(len(table), 1)]

    def theirs() -> np.ndarray:
        return np.array([peer(x, y) for x, y in pairs])

    (seconds, found), (peer_seconds, known) = race(rounds, ours, theirs)
    for place in {0, len(pairs) // 2, len(pairs) - 1}:
        exact = peer(*(x.astype(np.float64) for x in pairs[place]))
        assert abs(found[place] - exact) < 1e-6, (what, place, found[place], exact)
    assert np.abs(found - known).max() < tolerance, (what, found, known)
    yield Row(what, seconds, peer_seconds, f"mean {found.mean():.6f}", f"mean {known.mean():.6f}")


def linear_cka(rounds: int, n: int) -> Iterator[Row]:
    """Linear CKA of three and of ten models; the peer's float32 norms are off by 5e-5."""
    for models, times in ((3, rounds), (10, 1)):
        what = f"linear CKA, {models} models, n={n:,}, d=2,048; peer resi, rob-univ (formula)"
        yield from versus(what, "cka_biased", networks(models, n, 2048), peers.cka, times, 1e-4)


def minibatch_cka(rounds: int, n: int) -> Iterator[Row]:
    """Minibatch CKA of ten models on the same batches; the peer sums float32 Grams of features off the origin."""
    n = -(-n // 256) * 256
    features = networks(10, n, 2048)
    order = measures.prepare("cka_minibatch", features["model 0"]).order
    batches = np.array_split(order, n // 256)
    what = f"minibatch CKA, batches of 256, 45 pairs, n={n:,}, d=2,048; peer PyTorch-Model-Compare (formula)"
    yield from versus(what, "cka_minibatch", features, lambda x, y: peers.cka_minibatch(x, y, batches), rounds, 1e-4)


def procrustes(rounds: int, n: int) -> Iterator[Row]:
    """Procrustes distance of three models; the peer's float32 norms are off by 1e-5."""
    what = f"Procrustes, 3 pairs, n={n:,}, d=512; peer resi (formula)"
    yield from versus(what, "procrustes", networks(3, n, 512), peers.procrustes, rounds, 1e-4)


def jaccard(rounds: int, n: int) -> Iterator[Row]:
    """Overlap of the ten nearest neighbours of three models; the peer's float32 cosines confuse a few."""
    what = f"Jaccard, k=10, 3 pairs, n={n:,}, d=512; peer resi (formula)"
    features = networks(3, n, 512)
    yield from versus(what, "jaccard", features, lambda x, y: peers.jaccard(x, y, 10), rounds, 1e-5, centre=False)


def memory(n: int) -> None:
    """Peak memory of comparing one pair, in a process of its own."""
    command = [sys.executable, __file__, "--memory", "--images", str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"\nPeak memory of one linear CKA, n={n:,}, d=2,048, beyond the features: {done.stdout.strip()}")


def growth(n: int) -> str:
    """Growth of this process while it compares a pair of models."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 2048), dtype=np.float32) for _ in range(2))
    measures.compare("cka", x[:16], y[:16])
    before = peak()
    measures.compare("cka", x, y)
    both = (x.nbytes + y.nbytes) / 2**20
    matrix = 4 * len(x) ** 2 / 2**20
    return f"{peak() - before:.0f} MB; the features of both are {both:.0f} MB, one n x n matrix {matrix:.0f} MB"


def peak() -> float:
    """Most memory this process has held, in MB; unlike getrusage, without what its parent held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


BENCHES: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "cka": linear_cka,
    "minibatch": minibatch_cka,
    "procrustes": procrustes,
    "jaccard": jaccard,
}

if __name__ == "__main__":
    main()
