"""What the jobs of a run asked for, and what they used, from the benchmark files that they left.

Run it in the folder of the run, with the profile and the configuration of the run, by default those of the cluster:

    .venv/bin/python benchmarks/asked.py
    .venv/bin/python benchmarks/asked.py --profile profiles/local --configfile config/config.yaml --jobs

A rule in which a job used more than it asked for is marked. Memory that a job used is what Snakemake saw of it, every
half minute after the first seconds. `gflops` of the profile is right if jobs with a GPU use a third of their time.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import yaml
from snakemake.common.configfile import load_configfile
from snakemake.resources import Resources
from snakemake.utils import update_config

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from mettle import files
from mettle.plan import Asked, Plan

Row = dict[str, Any]
ROOT = Path(__file__).parents[1]


class Job(NamedTuple):
    """A job that ran: its rule and benchmark file, MB and minutes asked for, MB and minutes used."""

    rule: str
    path: str
    mb: float
    minutes: float
    used_mb: float
    used_minutes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="profiles/slurm")
    parser.add_argument("--configfile", nargs="*", help="laid over config/config.yaml; those of the profile by default")
    parser.add_argument("--jobs", action="store_true", help="a row per job, not per rule")
    options = parser.parse_args()
    profile = yaml.safe_load((files.locate(options.profile) / "config.yaml").read_text())
    over = [profile["configfile"]] if options.configfile is None and "configfile" in profile else options.configfile
    found = sorted(jobs(configured(over or []), profile))
    if not found:
        sys.exit("benchmarks holds no file of a job of this configuration: run this where snakemake ran")
    print("| what | jobs | asked, MB | used, MB | asked, minutes | used, minutes | |\n|---|---|---|---|---|---|---|")
    for what, members in by(found, "path" if options.jobs else "rule"):
        short = [job for job in members if job.used_mb > job.mb or job.used_minutes > job.minutes]
        print(f"| {what} | {len(members)} | {numbers(members)} | {'**too little**' if short else ''} |")


def by(found: list[Job], key: str) -> Iterator[tuple[str, list[Job]]]:
    """Jobs by one of their attributes."""
    for name in dict.fromkeys(getattr(job, key) for job in found):
        yield name, [job for job in found if getattr(job, key) == name]


def numbers(members: list[Job]) -> str:
    """The most that was asked for and used."""
    most = [max(getattr(job, key) for job in members) for key in ("mb", "used_mb", "minutes", "used_minutes")]
    return f"{most[0]:,.0f} | {most[1]:,.0f} | {most[2]:,.0f} | {most[3]:,.1f}"


def configured(over: list[str]) -> Plan:
    """The plan of a configuration with others laid over it."""
    config: Row = {}
    for path in ("config/config.yaml", *over):
        update_config(config, load_configfile(str(files.locate(path))))
    return Plan(config)


def jobs(plan: Plan, profile: Row) -> Iterator[Job]:
    """Every job that left a benchmark file."""
    forms = rules(plan)
    folders = {Path("benchmarks/results"), Path(plan.benchmarks)}
    for path in sorted(path for folder in folders for path in folder.rglob("*.tsv")):
        for rule, form in forms.items():
            if found := form.fullmatch(str(path)):
                mb, minutes = amounts(plan, profile, rule, found.groupdict())
                yield Job(rule, str(path), mb, minutes, *used(path))


def rules(plan: Plan) -> dict[str, re.Pattern]:
    """Benchmark file of every rule that asks for something, as a regular expression with its wildcards."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    pieces = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)
    found = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if "ASKED" in body:
            path = re.search(r'benchmark:\s+"(\S+)"', body)[1].replace("<benchmarks>", plan.benchmarks)
            found[name] = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
    return found


def amounts(plan: Plan, profile: Row, rule: str, cell: Row) -> tuple[float, float]:
    """MB and minutes that the first attempt of a job asks for."""
    given = profile.get("set-resources", {}).get(rule, {})
    limits = Resources.from_mapping(profile.get("resources", {}))
    told = SimpleNamespace(resources=Resources.from_mapping(given))
    asked = Asked(plan, SimpleNamespace(global_resources=limits, get_rule=lambda name: told))
    threads = min(profile.get("set-threads", {}).get(rule, 1), profile.get("cores", 1))
    found = [of(rule)(cell, attempt=1, threads=threads, rulename=rule) for of in (asked.memory, asked.minutes)]
    return min(found[0], limits.get("mem_mb").value or found[0]), found[1]


def used(path: Path) -> tuple[float, float]:
    """MB and minutes that a benchmark file has; no MB for a job that ended before it was looked at."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    memory = [float(row["max_rss"]) for row in rows if row["max_rss"] not in ("-", "NA")]
    return max(memory, default=0) * 1.048576, max(float(row["s"]) for row in rows) / 60


if __name__ == "__main__":
    main()
