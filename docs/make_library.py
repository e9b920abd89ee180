"""Writes docs/library.md from the cells of docs/library.py; with --check, says whether it is up to date."""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def text() -> str:
    """The page: cells of Markdown as they are, cells of code in blocks."""
    source = (DOCS / "library.py").read_text(encoding="utf-8")
    cells = re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", source, re.MULTILINE | re.DOTALL)
    return "\n".join(_prose(cell) if markdown else _code(cell) for markdown, cell in cells)


def _prose(cell: str) -> str:
    lines = (line.removeprefix("#").removeprefix(" ") for line in cell.strip().splitlines())
    return "\n".join(lines).strip() + "\n"


def _code(cell: str) -> str:
    return f"```python\n{cell.strip()}\n```\n"


if __name__ == "__main__":
    page = DOCS / "library.md"
    if "--check" in sys.argv:
        found = page.read_text(encoding="utf-8") if page.exists() else ""
        sys.exit(0 if found == text() else "docs/library.md is out of date: run `make docs`")
    page.write_text(text(), encoding="utf-8")
