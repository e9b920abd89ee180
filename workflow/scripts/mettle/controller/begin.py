"""
What is put in order before the first job of a run.

A killed run or a clock that was set back must not cost results: jobs that an earlier run left in Slurm are cancelled,
so that no two jobs write one file, and files from the future get earlier times, so that what is made next is newer.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

_FOLDERS = ("results", "resources/downloads")
_GRACE = 120  # seconds that cancelled jobs may take to save their state
_HELD: list[IO] = []


def begin(executor: str, results: str = "results") -> None:
    """Put the working directory in order, unless another run uses it; reports on stderr what it did.

    Parameters
    ----------
    executor : Snakemake's; jobs that an earlier run left in Slurm are cancelled under any, but a Slurm that does not
        answer is reported under `slurm` only
    results : folder of evaluations, tables and figures
    """
    if not _first(Path(".snakemake/runs.lock")):
        return
    if jobs := left_jobs(Path.cwd(), expected=executor == "slurm"):
        _say(f"ends {len(jobs)} jobs that an earlier run left in Slurm: {', '.join(jobs)}")
        end(jobs)
    for folder in dict.fromkeys([*_FOLDERS, results]):
        if Path(folder).is_dir() and (count := settle_times(Path(folder))):
            _say(f"{count} files in {folder} were from the future: the clock was set back; they have earlier times now")


def python_by_name() -> None:
    """Have a Python whose path needs quoting started by its name, from the first folder of PATH.

    Snakemake puts `sys.executable` into commands unquoted (its issue 2645), so every job would fail if the name of a
    folder has a space or a quote.
    """
    if shlex.quote(sys.executable) != sys.executable:
        folder, sys.executable = os.path.split(sys.executable)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def _first(path: Path) -> bool:
    """Whether no other run uses this directory; this one does until its process ends, however it ends."""
    path.parent.mkdir(exist_ok=True)
    file = path.open("a")
    _HELD.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first = True
    except BlockingIOError:
        first = False
    except OSError as error:
        _say(f"{path} cannot be locked ({error.strerror}), so jobs of an earlier run in Slurm are not looked for")
        first = False
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    return first


# Times


def settle_times(folder: Path) -> int:
    """Give files from the future times before now, with the order of all files kept.

    Snakemake rejects a new output that is older than its input, and makes older files again.

    Returns
    -------
    int
        Their number.
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
        with suppress(FileNotFoundError):
            os.utime(path, ns=(settled[times[path]],) * 2, follow_symlinks=False)
    return len(late)


def _now(folder: Path) -> int:
    """The time of the file system in nanoseconds, which may differ from that of this machine."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
        return os.fstat(file.fileno()).st_mtime_ns


def _times(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and time of everything below a folder; a running job may remove files meanwhile."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False).st_mtime_ns
            if entry.is_dir(follow_symlinks=False):
                yield from _times(entry.path)


# Jobs


def left_jobs(folder: Path, expected: bool) -> list[str]:
    """Ids of this user's Slurm jobs that a Snakemake in this folder has submitted; empty without Slurm.

    Parameters
    ----------
    folder : the working directory
    expected : whether there must be a Slurm; else one that does not answer soon counts as none, as where only its
        client is installed, and nothing is reported
    """
    if not shutil.which("squeue"):
        return []
    answer = _squeue("--me", "--format=%i|%k|%Z", seconds=60 if expected else 10)
    if answer.returncode:
        if expected:
            why = " ".join(answer.stderr.split())
            _say(f"squeue fails, so it is unknown whether an earlier run left jobs: {why}")
        return []
    rows = [line.split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]
    # The executor for Slurm marks its jobs by a comment.
    return [job for job, comment, where in rows if comment.startswith("rule_") and Path(where) == folder]


def end(jobs: list[str]) -> None:
    """Cancel jobs and wait until they are gone; a training saves its state meanwhile.

    Raises
    ------
    TimeoutError
        If they are still there after two minutes.
    """
    subprocess.run(["scancel", *jobs], check=True)
    until = time.monotonic() + _GRACE
    while not _gone(_squeue("--format=%i", "--jobs", ",".join(jobs))):
        if time.monotonic() > until:
            raise TimeoutError(f"jobs {', '.join(jobs)} of an earlier run have not ended: see `squeue --me`")
        time.sleep(1)


def _gone(answer: subprocess.CompletedProcess) -> bool:
    return "Invalid job id" in answer.stderr or not (answer.returncode or answer.stdout.strip())


def _squeue(*arguments: str, seconds: int = 60) -> subprocess.CompletedProcess:
    command = ["squeue", "--noheader", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {seconds} s")


def _say(text: str) -> None:
    print(f"mettle: {text}", file=sys.stderr, flush=True)
