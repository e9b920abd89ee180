"""Writes docs/tables.md from the tables that stages and figures declare; with --check, says if it is outdated."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from mettle import tables  # noqa: E402 (the path comes first)
from mettle.plan.figures import FIGURES  # noqa: E402

HEAD = """# Tables

Every table that a rule writes, made by `make docs` from `mettle/tables/cells` and `mettle/plan/figures` in
`workflow/scripts`. Key columns come
first, always in the same order. Each file also holds these descriptions as field metadata, and what made it (rule,
revision, git commit, hash of its parameters, package versions) as file metadata under the key `mettle`.
"""


def text() -> str:
    """The whole page."""
    parts = [HEAD]
    for table in [*tables.CELLS, *(about.table for about in FIGURES.values())]:
        parts.append(
            f"\n## {table.name}\n\n{table.text}\n\n| column | type | unit | null | meaning |\n|---|---|---|---|---|\n"
        )
        for name, column in table.columns.items():
            kind = (
                "struct list"
                if "struct" in str(column.type)
                else re.sub(r"list<item: (\w+)>", r"\1[]", str(column.type))
            )
            parts.append(f"| {name} | {kind} | {column.unit} | {'yes' if column.nullable else ''} | {column.text} |\n")
    return "".join(parts)


if __name__ == "__main__":
    page = ROOT / "docs" / "tables.md"
    if "--check" in sys.argv:
        sys.exit(0 if page.read_text() == text() else "docs/tables.md is out of date: run `make docs`")
    page.write_text(text())
