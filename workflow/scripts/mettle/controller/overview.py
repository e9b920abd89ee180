"""Start page of the report: what it shows, and the run times of each rule."""

import csv
import os
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml


def targets(
    wanted: Sequence[str], arguments: Iterable[str], exists: Callable[[str], bool] = os.path.exists
) -> list[str]:
    """Targets of rule `all`: everything wanted, or for a report as much of it as exists.

    Snakemake makes no report while one of its files is missing. A report after a run (`--report-after-run`) needs
    everything wanted.

    Parameters
    ----------
    wanted : paths
    arguments : command line of Snakemake
    exists : whether a path exists, here or in the storage of results
    """
    options = {argument.partition("=")[0] for argument in arguments}
    if "--report" not in options or "--report-after-run" in options:
        return list(wanted)
    return [path for path in wanted if exists(path)]


@dataclass(frozen=True)
class Runtime:
    """Run times of the jobs of one rule, from their benchmark files.

    Attributes
    ----------
    rule : name; `all` for the sum of all rules
    jobs : number of jobs that left a benchmark file
    total, median, longest : wall-clock time
    memory : largest resident memory of a job in MB; 0 if all ended within about a second
    """

    rule: str
    jobs: int
    total: timedelta
    median: timedelta
    longest: timedelta
    memory: int


def runtimes(jobs: Iterable[Any]) -> list[Runtime]:
    """Run times by rule, the longest total first, then of all rules; empty without benchmark files.

    For jobs on a cluster, Snakemake's own records have the time from submission until the end was noticed, which may
    even be negative.

    Parameters
    ----------
    jobs : of Snakemake, with `rule.name` and `benchmark`, a path or nothing
    """
    found: dict[str, list[dict[str, str]]] = {}
    for job in jobs:
        if job.benchmark and Path(job.benchmark).exists():
            with Path(job.benchmark).open(encoding="utf-8", newline="") as file:
                found.setdefault(job.rule.name, []).extend(csv.DictReader(file, delimiter="\t"))
    rows = sorted((_runtime(rule, lines) for rule, lines in found.items()), key=lambda row: row.total, reverse=True)
    return [*rows, _runtime("all", [line for lines in found.values() for line in lines])] if rows else []


def _runtime(rule: str, lines: list[dict[str, str]]) -> Runtime:
    seconds = [float(line["s"]) for line in lines]
    times = [timedelta(seconds=round(value)) for value in (sum(seconds), statistics.median(seconds), max(seconds))]
    memory = [float(line["max_rss"]) for line in lines if line["max_rss"] not in ("-", "NA")]
    return Runtime(rule, len(lines), *times, round(max(memory, default=0)))


def absent(figures: Iterable[str], shown: Iterable[Any]) -> list[str]:
    """Figures and tables that a report does not show.

    Parameters
    ----------
    figures : names of figures and tables
    shown : files of Snakemake's report
    """
    names = {Path(file.path).stem for file in shown}
    return [figure for figure in figures if figure not in names]


def outdated(figures: Iterable[str], shown: Iterable[Any]) -> list[str]:
    """Figures and tables of a report that Snakemake would make again because configuration or inputs have changed.

    Parameters
    ----------
    figures : names of figures and tables
    shown : files of Snakemake's report
    """
    names = {Path(file.path).stem for file in shown if file.job.dag.needrun(file.job)}
    return [figure for figure in figures if figure in names]


def all_wildcards(dag: Any, job: Any) -> set[tuple[str, str]]:
    """Names and values of a job's wildcards, in place of Snakemake's `DAG.new_wildcards`."""
    return set(job.wildcards.items())


def plain(text: str) -> str:
    """Text for a page in reStructuredText, in which nothing is markup."""
    return re.sub(r"([\\*`|_<>])", r"\\\1", text)


def as_yaml(config: Any) -> str:
    """A configuration as YAML."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
