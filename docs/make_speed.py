"""Writes what benches recorded into docs/speed.md and other pages; with --check, says whether they are up to date."""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import blocks

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "benchmarks" / "recorded"
PAGES = ("speed.md", "scale.md", "environments.md", "cluster.md")
ELSEWHERE = ("asked",)  # parts that another command writes


def part(name: str) -> str:
    """A recorded table, and below it when, on what and at which commit it was measured.

    Raises
    ------
    ValueError
        If no such table was recorded.
    """
    path = RECORDED / f"{name}.json"
    if not path.exists():
        raise ValueError(
            f"benchmarks/recorded/{path.name} does not exist: the bench that writes it is run with --record"
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    return f"{blocks.table(found['columns'], found['rows'])}\n{_measured(found)}\n"


def _measured(found: dict[str, Any]) -> str:
    day = date.fromisoformat(found["date"])
    threads = f"{found['threads']} thread{'s' * (found['threads'] != 1)}"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    where = f"commit {found['commit']}, {found['processor']}, {threads}; {versions}"
    return f"Measured on {day.day} {day:%B %Y}: {where}. {found.get('note', '')}".strip()


def texts() -> dict[Path, str]:
    """Every page with its tables as recorded.

    Raises
    ------
    ValueError
        If a recorded table is on no page, or a page has a place for one that was not recorded.
    """
    pages = {path: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / name for name in PAGES)}
    shown = {name for page in pages.values() for name in blocks.names(page)}
    if unseen := sorted(path.stem for path in RECORDED.glob("*.json") if path.stem not in shown):
        raise ValueError(f"benchmarks/recorded: no page shows {', '.join(unseen)}: give it a place in docs/speed.md")
    return {path: blocks.fill(page, _own) for path, page in pages.items()}


def _own(name: str) -> str | None:
    return None if name in ELSEWHERE else part(name)


if __name__ == "__main__":
    try:
        pages = texts()
    except ValueError as error:
        sys.exit(str(error))
    for path, text in pages.items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{path.name} is out of date: run `make docs`")
