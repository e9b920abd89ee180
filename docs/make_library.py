"""Writes docs/library.md and library.ipynb from the cells of docs/library.py; --check says if they are out of date."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


def text() -> str:
    """The page: cells of Markdown as they are, cells of code in blocks."""
    return "\n".join(cell if kind == "markdown" else f"```python\n{cell}```\n" for kind, cell in cells())


def notebook() -> str:
    """The notebook, without outputs."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = [_cell(number, kind, text.rstrip("\n")) for number, (kind, text) in enumerate(cells())]
    whole = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def cells() -> Iterator[tuple[str, str]]:
    """Kind and text of every cell, `markdown` or `code`."""
    source = (DOCS / "library.py").read_text(encoding="utf-8")
    for markdown, cell in re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", source, re.MULTILINE | re.DOTALL):
        yield ("markdown", _prose(cell)) if markdown else ("code", f"{cell.strip()}\n")


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    ran = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)} | ran


def _prose(cell: str) -> str:
    lines = (line.removeprefix("#").removeprefix(" ") for line in cell.strip().splitlines())
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    for name, made in {"library.md": text(), "library.ipynb": notebook()}.items():
        page = DOCS / name
        if "--check" not in sys.argv:
            page.write_text(made, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != made:
            sys.exit(f"docs/{name} is out of date: run `make docs`")
