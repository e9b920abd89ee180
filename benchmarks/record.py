"""Tables of benches: printed row by row, and with `--record` kept for the docs, with date, commit and processor."""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from mettle.flow.machine import processor

RECORDED = Path(__file__).parent / "recorded"


def arguments(description: str | None) -> ArgumentParser:
    """The parser of a bench, with `--record` and `--note`."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--record", action="store_true", help="keep the tables in benchmarks/recorded")
    parser.add_argument("--note", default="", help="a sentence to keep with them, such as what else the machine did")
    return parser


@contextmanager
def table(
    name: str, columns: Sequence[str], options: Namespace, threads: int = 1, packages: Sequence[str] = ()
) -> Iterator[Callable[..., None]]:
    """Print a table; gives the function that adds a row of cells, all of them text.

    Parameters
    ----------
    name : of its file in benchmarks/recorded, which is written once all rows are there
    columns : heads
    options : of the command line, with `record` and `note`
    threads : that each row was measured with
    packages : those whose versions count; Python's is always told
    """
    about = {
        "date": date.today().isoformat(),
        "commit": _commit(),
        "processor": processor(),
        "threads": threads,
        "cpus": os.cpu_count(),
        "note": options.note,
        "versions": {"Python": ".".join(map(str, sys.version_info[:3]))}
        | {package: metadata.version(package) for package in packages},
    }
    rows: list[list[str]] = []
    print("\n" + "; ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    print(_line(columns), _line(["---"] * len(columns)), sep="\n", flush=True)

    def add(*cells: str) -> None:
        assert len(cells) == len(columns), cells
        rows.append(list(cells))
        print(_line(cells), flush=True)

    yield add
    if options.record:
        RECORDED.mkdir(exist_ok=True)
        text = json.dumps(about | {"columns": list(columns), "rows": rows}, indent=1, ensure_ascii=False)
        (RECORDED / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    return subprocess.run(command, cwd=RECORDED.parent, capture_output=True, text=True, check=False).stdout.strip()
