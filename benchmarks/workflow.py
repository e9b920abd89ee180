"""`make bench`: wall time and job count of the demo from scratch, and of the paper-scale dry run of figure 5.

The demo runs in a copy of the tree, so that nothing of yours is made again or removed. Both have a limit that the
project promises: 10 minutes for the demo on two CPU cores, 4 seconds for the dry run.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ["results/figures/fig5.pdf", "results/tables/accuracy.parquet"]
DRY = ["snakemake", "--profile", "slurm", "-n", "results/figures/fig5.pdf"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--skip-demo", action="store_true", help="the dry run only")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder) / "mettle")
        runs = [timed(DRY, tree) for _ in range(5)]
        rows.append(("dry run of figure 5, paper scale", min(seconds for seconds, _ in runs), jobs(runs[0][1]), 4))
        if not options.skip_demo:
            seconds, output = timed(["snakemake", "--cores", options.cores, *DEMO], tree)
            rows.append((f"demo from scratch, {options.cores} cores", seconds, jobs(output), 600))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}\n")
    print("| what | seconds | jobs | limit, seconds |\n|---|---|---|---|")
    for what, seconds, count, limit in rows:
        print(f"| {what} | {seconds:.1f} | {count} | {limit} |")


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


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Wall time in seconds and output of a command; its failure ends the bench."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout + done.stderr


def jobs(output: str) -> int:
    """Number of jobs that Snakemake announced."""
    return int(re.search(r"^total\s+(\d+)", output, re.MULTILINE)[1])


if __name__ == "__main__":
    main()
