"""
The log of a job over all attempts at its result.

Snakemake deletes a log before it runs the job again. So each log has a second, hidden name beside it until an attempt
has succeeded: until then each attempt appends to what earlier ones wrote.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_HEADING = re.compile(r"^\d\d:\d\d:\d\d attempt \d+, ", re.MULTILINE)


@contextmanager
def log(path: str | Path) -> Iterator[tuple[IO, str]]:
    """The log, open for appending, and the prefix of this attempt's lines; earlier attempts are deleted on success.

    Parameters
    ----------
    path : the log that the rule names; on a file system without hard links it has the last attempt only
    """
    path = Path(path)
    kept = path.with_name(f".{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    kept.touch()
    earlier = len(_HEADING.findall(kept.read_text(encoding="utf-8", errors="replace")))
    try:
        path.hardlink_to(kept)
    except OSError:
        kept.unlink()
    with path.open("a", encoding="utf-8") as file:  # other tasks of the job may write to it too
        yield file, _heading(earlier + 1)
    kept.unlink(missing_ok=True)


def _heading(attempt: int) -> str:
    slurm = os.environ.get("SLURM_JOB_ID")
    return f"attempt {attempt}, {time.strftime('%Y-%m-%d')}" + (f", job {slurm} of Slurm" if slurm else "")
