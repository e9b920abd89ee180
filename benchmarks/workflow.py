"""`make bench`: jobs, time and memory of paper-scale dry runs, figure by figure, and of the demo.

The demo runs in a copy of the tree, so that nothing of yours is made again or removed. Promised limits: 10 minutes
for the demo on two CPU cores by the clock; 4 seconds of one core for the dry run of figure 5, and for that of all
figures of the universality study 10 seconds and 500 MB.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import record

ROOT = Path(__file__).parents[1]
DEMO = ["results/figures/fig5.pdf", "results/tables/accuracy.parquet"]
COLUMNS = ["dry run of", "seconds of one core", "jobs", "MB", "limit"]
UNIVERSALITY = ["fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig13", "fig14", "fig15"]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--skip-demo", action="store_true", help="the dry run only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder) / "mettle")
        with record.table("dry_runs", COLUMNS, options, packages=["snakemake"]) as add:
            for figure in UNIVERSALITY:
                add(figure, *cells(*dry(tree, figure)), "4 s" if figure == "fig5" else "")
            add("all of these", *cells(*dry(tree, *UNIVERSALITY)), "10 s, 500 MB")
        if not options.skip_demo:
            demo(tree, options)


def demo(tree: Path, options: argparse.Namespace) -> None:
    """Table of the demo from scratch, and of what all other figures add to it."""
    columns = ["what", "seconds", "jobs", "limit"]
    with record.table("demo", columns, options, int(options.cores), ["snakemake", "torch"]) as add:
        for what, targets, limit in (("`make demo`", DEMO, "600 s"), ("then `make demo FIGURES=all`", [], "")):
            run = timed(["snakemake", "--cores", options.cores, *targets], tree)
            add(what, f"{run.seconds:.0f}", str(jobs(run.output)), limit)


def cells(seconds: float, count: int, megabytes: float) -> tuple[str, str, str]:
    return f"{seconds:.1f}", f"{count:,}", f"{megabytes:.0f}"


def dry(tree: Path, *figures: str) -> tuple[float, int, float]:
    """Least time of one core of three dry runs with the cluster's profile, in seconds; jobs; peak memory in MB."""
    command = ["snakemake", "--profile", "slurm", "-n", *(f"results/figures/{figure}.pdf" for figure in figures)]
    runs = [timed(command, tree) for _ in range(3)]
    return min(run.cpu for run in runs), jobs(runs[0].output), max(run.megabytes for run in runs)


def copy_tree(target: Path) -> Path:
    """The files that the workflow needs, without results."""
    names = ["Snakefile", "workflow", "config", "envs", "profiles", "slurm", "resources/published", "resources/lists"]
    target.mkdir()
    for name in names:
        source = ROOT / name
        if source.is_symlink():
            (target / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    return target


class Run(NamedTuple):
    """Time by the clock and of the cores in seconds, peak memory in MB, and output of a command."""

    seconds: float
    cpu: float
    megabytes: float
    output: str


def timed(command: list[str], folder: Path) -> Run:
    """A command, run and measured; its failure ends the bench."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{text}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, text)


def jobs(output: str) -> int:
    """Number of jobs that Snakemake announced."""
    return int(re.search(r"^total\s+(\d+)", output, re.MULTILINE)[1])


if __name__ == "__main__":
    main()
