"""Writes which models the installed timm has, which a dry run checks the sheets by: importing timm takes seconds."""

from pathlib import Path

import timm

LIST = Path(__file__).parents[1] / "workflow" / "scripts" / "mettle" / "plan" / "timm.txt"


def text() -> str:
    """The version, then a name a line."""
    return "\n".join([f"# models of timm {timm.__version__}", *timm.list_models(), ""])


if __name__ == "__main__":
    LIST.write_text(text())
