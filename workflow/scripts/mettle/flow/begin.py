"""
What is set right before the first job of a run.

A run that was killed, or a clock that was set back, must not cost results: the jobs that it left in Slurm are ended, so
that no two write one file, and files from the future get times before now, so that what is made next is newer.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_FOLDERS = ("results", "resources/downloads")
_GRACE = 120  # seconds that ended jobs may take to save their state


def begin() -> None:
    """Put the working directory in order; says on stderr what it did."""
    for folder in _FOLDERS:
        if Path(folder).is_dir() and (count := settle_times(Path(folder))):
            _say(f"{count} files in {folder} were from the future: the clock was set back; they got times before now")
    if jobs := left_jobs(Path.cwd()):
        _say(f"ends {len(jobs)} jobs that an earlier run left in Slurm: {', '.join(jobs)}")
        end(jobs)


# Times


def settle_times(folder: Path) -> int:
    """Give files from the future times before now that keep their order among each other and with all others.

    Snakemake refuses an output that is older than its input, and makes again what is older than its input.

    Returns
    -------
    int
        How many there were.
    """
    now, times = _now(folder), dict(_times(folder))
    future = sorted({found for found in times.values() if found > now})
    if not future:
        return 0
    past = max((found for found in times.values() if found <= now), default=now - 10**9)
    step = (now - past) / (len(future) + 1)
    settled = {found: past + round(place * step) for place, found in enumerate(future, start=1)}
    late = [path for path, found in times.items() if found in settled]
    for path in late:
        os.utime(path, ns=(settled[times[path]],) * 2, follow_symlinks=False)
    return len(late)


def _now(folder: Path) -> int:
    """The time of the file system, in nanoseconds; that of this machine may be another."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
        return os.fstat(file.fileno()).st_mtime_ns


def _times(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and time of everything below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.path, entry.stat(follow_symlinks=False).st_mtime_ns
            if entry.is_dir(follow_symlinks=False):
                yield from _times(entry.path)


# Jobs


def left_jobs(folder: Path) -> list[str]:
    """Ids of this user's Slurm jobs that a Snakemake in this folder has submitted; none where there is no Slurm."""
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        _say("squeue does not answer: whether an earlier run left jobs is unknown")
        return []
    rows = [line.split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]
    # The comment is how the executor for Slurm marks its jobs.
    return [job for job, comment, where in rows if comment.startswith("rule_") and Path(where) == folder]


def end(jobs: list[str]) -> None:
    """Cancel jobs and wait until they are gone; a training saves its state meanwhile.

    Raises
    ------
    TimeoutError
        If they are still there after two minutes.
    """
    subprocess.run(["scancel", *jobs], check=True)
    command = ["squeue", "--noheader", "--format=%i", "--jobs", ",".join(jobs)]
    until = time.monotonic() + _GRACE
    while subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip():
        if time.monotonic() > until:
            raise TimeoutError(f"jobs {', '.join(jobs)} of an earlier run do not end: see `squeue --me`")
        time.sleep(1)


def _say(text: str) -> None:
    print(f"mettle: {text}", file=sys.stderr, flush=True)
