"""
What is set right before the first job of a run.

A run that was killed, or a clock that was set back, must not cost results: the jobs that it left in Slurm are ended, so
that no two write one file, and files from the future get times before now, so that what is made next is newer.
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
_GRACE = 120  # seconds that ended jobs may take to save their state
_HELD: list[IO] = []


def begin(executor: str, results: str = "results") -> None:
    """Put the working directory in order, unless another run is at work in it; says on stderr what it did.

    Parameters
    ----------
    executor : Snakemake's; whatever it is, jobs that an earlier run left in Slurm are ended, but a Slurm that does not
        answer is only spoken of where it is `slurm`
    results : folder of evaluations, tables and figures
    """
    if not _first(Path(".snakemake/runs.lock")):
        return
    if jobs := left_jobs(Path.cwd(), expected=executor == "slurm"):
        _say(f"ends {len(jobs)} jobs that an earlier run left in Slurm: {', '.join(jobs)}")
        end(jobs)
    for folder in dict.fromkeys([*_FOLDERS, results]):
        if Path(folder).is_dir() and (count := settle_times(Path(folder))):
            _say(f"{count} files in {folder} were from the future: the clock was set back; they got times before now")


def python_by_name() -> None:
    """Have a Python whose path needs quotes started by its name alone, from the first folder of PATH.

    Snakemake puts `sys.executable` into commands without quotes (its issue 2645), so that with a space or a quote in
    the name of a folder every job would fail.
    """
    if shlex.quote(sys.executable) != sys.executable:
        folder, sys.executable = os.path.split(sys.executable)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def _first(path: Path) -> bool:
    """Whether no other run lives in this directory; this one counts until its process ends, however it ends."""
    path.parent.mkdir(exist_ok=True)
    file = path.open("a")
    _HELD.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first = True
    except BlockingIOError:
        first = False
    except OSError as error:
        _say(f"{path} cannot be locked ({error.strerror}), so nobody looks for jobs that an earlier run left in Slurm")
        first = False
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    return first


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
        with suppress(FileNotFoundError):
            os.utime(path, ns=(settled[times[path]],) * 2, follow_symlinks=False)
    return len(late)


def _now(folder: Path) -> int:
    """The time of the file system, in nanoseconds; that of this machine may be another."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
        return os.fstat(file.fileno()).st_mtime_ns


def _times(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and time of everything below a folder; a job that still runs may take files away meanwhile."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False).st_mtime_ns
            if entry.is_dir(follow_symlinks=False):
                yield from _times(entry.path)


# Jobs


def left_jobs(folder: Path, expected: bool) -> list[str]:
    """Ids of this user's Slurm jobs that a Snakemake in this folder has submitted; none where there is no Slurm.

    Parameters
    ----------
    folder : the working directory
    expected : whether there has to be a Slurm; else one that does not answer soon is none, as where there is only its
        client, and nothing is said
    """
    if not shutil.which("squeue"):
        return []
    answer = _squeue("--me", "--format=%i|%k|%Z", seconds=60 if expected else 10)
    if answer.returncode:
        if expected:
            why = " ".join(answer.stderr.split())
            _say(f"squeue fails, so whether an earlier run left jobs is unknown: {why}")
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
    until = time.monotonic() + _GRACE
    while not _gone(_squeue("--format=%i", "--jobs", ",".join(jobs))):
        if time.monotonic() > until:
            raise TimeoutError(f"jobs {', '.join(jobs)} of an earlier run do not end: see `squeue --me`")
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
