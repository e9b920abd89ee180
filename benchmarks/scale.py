"""`make bench`: what sheets of 50, 200 and 1,000 models cost before the first job runs.

Dry-runs the grid of the transfer study as shipped. Then writes sheets into a copy of the tree, dry-runs every figure of
the paper's configuration and figure 5 alone. Prints jobs, inputs, seconds and memory. The models are those of the
universality study under more seeds; with `--one-group` all beyond the shipped ones are of one data set and eps, so that
each is compared with all above it. Promised limits for 1,000 models, all figures: 60 seconds and 1,500 MB on one core,
and as many jobs per model as with 200.
"""

import csv
import re
import tempfile
from argparse import Namespace
from collections import Counter
from itertools import pairwise
from pathlib import Path

import record

import workflow

SHEET = Path("config") / "models" / "universality.tsv"
COLUMNS = ["models", "dry run of", "jobs", "inputs", "seconds of one core", "MB"]
ASKED = {"all figures": [], "figure 5": ["results/figures/fig5.pdf"]}
TRANSFER = ["results/figures/transfer.pdf", "results/figures/prime.pdf"]

Row = dict[str, str]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--models", type=int, nargs="*", default=[50, 200, 1000], help="none: the transfer study only")
    parser.add_argument("--one-group", action="store_true", help="all new models of one data set and eps")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = workflow.copy_tree(Path(folder) / "mettle")
        if not options.one_group:
            transfer_study(tree, options)
        if options.models:
            sheets(tree, options)


def transfer_study(tree: Path, options: Namespace) -> None:
    """Table of the whole grid of the transfer study: training, conversion and every cell of evaluation."""
    with record.table("scale_transfer", COLUMNS, options, packages=["snakemake"]) as add:
        run = dry(tree, TRANSFER)
        models = jobs_by_rule(run.output)["robustness"]
        add(str(models), "figures `transfer` and `prime`", *cells(run))


def sheets(tree: Path, options: Namespace) -> None:
    """Table of sheets of several sizes."""
    found = {}
    for size in options.models:
        groups = write_sheet(tree / SHEET, size, options.one_group)
        print(f"{size} models, by number in a group of one data set and eps: {groups}", flush=True)
        for what, targets in ASKED.items():
            run = found[size, what] = dry(tree, targets)
            told = (f"{n} {rule}" for rule, n in jobs_by_rule(run.output).items())
            print(f"  {what}: {', '.join(told)}", flush=True)
    name = "scale_one_group" if options.one_group else "scale"
    with record.table(name, COLUMNS, options, packages=["snakemake"]) as add:
        for (size, what), run in found.items():
            add(f"{size:,}", what, *cells(run))
    grown(options.models, {size: workflow.jobs(found[size, "all figures"].output) for size in options.models})


def dry(tree: Path, targets: list[str]) -> workflow.Run:
    return workflow.timed(["snakemake", "--profile", "slurm", "-n", "--", *targets], tree)


def cells(run: workflow.Run) -> tuple[str, str, str, str]:
    """Jobs, inputs, seconds of one core and MB."""
    return f"{workflow.jobs(run.output):,}", f"{inputs(run.output):,}", f"{run.cpu:.1f}", f"{run.megabytes:,.0f}"


def write_sheet(path: Path, size: int, one_group: bool) -> dict[int, int]:
    """Write a sheet; how many groups there are by their number of models."""
    with (workflow.ROOT / SHEET).open(newline="") as sheet:
        lines = (line for line in sheet if not line.startswith("#"))
        reader = csv.DictReader(lines, delimiter="\t", restval="")
        study, columns = list(reader), reader.fieldnames
    more = [row for row in study if group(row) == group(study[0])] if one_group else study
    chosen = (ranked(study) + [copied(row, by) for by in range(1, size + 1) for row in more])[:size]
    with path.open("w", newline="") as sheet:
        writer = csv.DictWriter(sheet, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)
    return dict(sorted(Counter(Counter(map(group, chosen)).values()).items()))


def group(row: Row) -> tuple[str, str]:
    return row["dataset"], row["recipe"]


def ranked(rows: list[Row]) -> list[Row]:
    """Models that figures name first, then the first of each group, the second of each, and so on."""
    named = set(re.findall(r"[\w.-]+", (workflow.ROOT / "config" / "paper.yaml").read_text()))
    seen: Counter = Counter()
    ranks = []
    for row in rows:
        seen[group(row)] += 1
        ranks.append(0 if row["model"] in named else seen[group(row)])
    return [row for _, row in sorted(zip(ranks, rows, strict=True), key=lambda pair: pair[0])]


def copied(row: Row, by: int) -> Row:
    """The row of a model trained from another seed."""
    seed = int(row["seed"]) + by
    name = f"{row['model']}-copy{by}"
    return row | {"model": name, "seed": str(seed), "source": "train", "sha256": ""}


def jobs_by_rule(output: str) -> dict[str, int]:
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def inputs(output: str) -> int:
    """Number of input files over all jobs."""
    return sum(line.count(",") + 1 for line in re.findall(r"^ +input: .*$", output, re.MULTILINE))


def grown(sizes: list[int], jobs: dict[int, int]) -> None:
    """Jobs that each model more has cost."""
    for small, large in pairwise(sizes):
        print(f"{small} to {large} models: {(jobs[large] - jobs[small]) / (large - small):.1f} jobs per model more")


if __name__ == "__main__":
    main()
