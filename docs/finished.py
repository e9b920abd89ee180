"""Finished figures, as the pages that show them need them: tables, pictures, and what made them."""

import shutil
from pathlib import Path

import pandas as pd

from mettle import tables
from mettle.plan.figures import FIGURES

ROOT = Path(__file__).parents[1]


def there(figure: str) -> bool:
    """Whether a figure has been made."""
    return (ROOT / "results" / "tables" / f"{figure}.parquet").exists()


def read(figure: str) -> pd.DataFrame:
    """The table of a figure; its picture is copied into the folder of the pages."""
    frame = tables.read(ROOT / "results" / "tables" / f"{figure}.parquet", FIGURES[figure].table)
    shutil.copyfile(ROOT / "results" / "figures" / f"{figure}.png", ROOT / "docs" / f"{figure}.png")
    return frame.astype({"value": float, "lo": float, "hi": float})


def made(figure: str) -> str:
    """At which commit and on which processor a figure was made."""
    sources = read(figure).attrs["provenance"]
    commits, processors = (
        ", ".join(sorted({source[key] for source in sources if source.get(key)})) for key in ("commit", "processor")
    )
    return f"Made at commit {commits} on {processors}."
