"""Peak memory of a compare job by number of models: files as the represent stage writes them, one process per row.

A job holds the features of two models and what the measure makes of them, however many models it compares.
"""

import io
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np
import record

from mettle import measures, tables
from mettle.flow import Job
from mettle.stages import compare

MEASURES = ("cka", "procrustes", "jaccard", "rtd")


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("-n", type=int, default=10_000, help="images")
    parser.add_argument("-d", type=int, default=2048, help="width of the features")
    parser.add_argument("--models", type=int, nargs="+", default=[2, 6])
    parser.add_argument("--job", nargs="+", help="used by the bench itself: measure and files")
    options = parser.parse_args()
    if options.job:
        return print(job(*options.job))
    columns = ["measure", *(f"{count} models, MB" for count in options.models)]
    with (
        tempfile.TemporaryDirectory() as folder,
        record.table("compare_memory", columns, options, packages=["numpy", "scipy", "numba"]) as add,
    ):
        add("features of two models", *[f"{2 * options.n * options.d * 4 / 1e6:.0f}"] * len(options.models))
        files = [
            write(Path(folder) / f"m{number}.parquet", options.n, options.d) for number in range(max(options.models))
        ]
        for measure in MEASURES:
            add(measure, *(f"{peak(measure, files[:count]):.0f}" for count in options.models))


def write(path: Path, n: int, d: int) -> Path:
    """A represent file of features that share half of their variance with those of every other one."""
    shared = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    own = np.random.default_rng(int(path.stem[1:]) + 1).normal(size=(n, d)).astype(np.float32)
    rows = np.array_split(np.arange(n), max(1, n // 250))
    parts = (
        {key: [value] * len(part) for key, value in (("dataset", "d"), ("images", "natural"), ("model", path.stem))}
        | {"id": part, "label": part % 10, "prediction": part % 10, "logits": np.eye(10)[part % 10]}
        | {"features": shared[part] + own[part]}
        for part in rows
    )
    tables.stream(path, tables.REPRESENT, parts)
    return path


def peak(measure: str, files: list[Path]) -> float:
    """Peak memory of a process that compares the first model with the others, beyond that of its imports, in MB."""
    command = [sys.executable, __file__, "--job", measure, *map(str, files)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def job(measure: str, first: str, *others: str) -> float:
    """Peak growth of this process during a compare job, in MB."""
    measures.floor(measure, 600, 4, 4, 0)  # what a measure imports or compiles once
    before = high_water()
    this = Job(
        rule="compare", seed=0, threads=1, provenance={}, log=io.StringIO()
    )  # the progress of a real job holds what it is given
    own = [first] * len(others)
    files = [*own, *others], [*others, *own]  # both directions, as on inverted images
    compare.similarities(
        *files, {"measure": measure}, {"method": measure}, 1, True, 0, partial(this.progress, text="pairs")
    )
    return high_water() - before


def high_water() -> float:
    """Most memory that this process had so far, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


if __name__ == "__main__":
    main()
