"""
Locks between processes: one training of a model at a time, one job per GPU.

They are the kernel's (flock): a lock ends with its process, however that ends, and nothing has to be cleaned up.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

_PAUSE = 1.0


@contextmanager
def alone(path: str | Path, say: Callable[[str], None]) -> Iterator[bool]:
    """Context that one process at a time can enter; gives whether it had to wait for another.

    Parameters
    ----------
    path : file to lock, created if need be; removed at the end, together with the folders above it that are then empty,
        up to a hidden one
    say : called once if another process has it

    Notes
    -----
    On the shared file system of a cluster it works between nodes if the file system supports flock, as NFS does.
    """
    path, waited = Path(path), False
    while (file := _locked(path)) is None:
        if not waited:
            say("another process is running this job; waiting")
        waited = True
        time.sleep(_PAUSE)
    with file:
        try:
            yield waited
        finally:
            path.unlink(missing_ok=True)  # while locked: whoever waits sees that it is gone or another file
            _prune(path.parent)


@contextmanager
def gpus(count: int, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Context in which this process sees GPUs of the machine that no other job uses.

    Parameters
    ----------
    count : number of GPUs
    say : called once if all of them are in use

    Returns
    -------
    list of str
        The GPUs as CUDA_VISIBLE_DEVICES names them; empty if there are none, or if Slurm assigned them.

    Raises
    ------
    ValueError
        If the machine has some, but fewer.
    """
    allocation = os.environ.get("SLURM_JOB_ID", "")
    have = visible() if count else []
    if not have or (allocation and len(have) <= count):
        yield []
        return
    if len(have) < count:
        raise ValueError(f"{count} GPUs are asked for, this machine shows {len(have)}: {', '.join(have)}")
    folder, spoken = Path(tempfile.gettempdir()) / f"mettle-gpus-{os.getuid()}{allocation}", False
    folder.mkdir(exist_ok=True)
    while not (mine := _some(count, have, folder)):
        if not spoken:
            say(f"waiting for {count} of the GPUs {', '.join(have)}, which other jobs use")
        spoken = True
        time.sleep(_PAUSE)
    with ExitStack() as held:
        for file in mine.values():
            held.enter_context(file)
        # In the order in which nvidia-smi counts; CUDA's own order is by speed.
        os.environ |= {"CUDA_VISIBLE_DEVICES": ",".join(mine), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        yield list(mine)


def visible() -> list[str]:
    """GPUs of this machine: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None and shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        listed = ",".join(answer.stdout.split()) if answer.returncode == 0 else ""
    return [name.strip() for name in (listed or "").split(",") if name.strip()]


def _some(count: int, names: list[str], folder: Path) -> dict[str, IO]:
    """Locks of as many free GPUs as are wanted, by name; empty if fewer are free."""
    mine: dict[str, IO] = {}
    for name in names:
        if len(mine) < count and (file := _locked(folder / f"{name}.lock")) is not None:
            mine[name] = file
    if len(mine) < count:
        for file in mine.values():
            file.close()
        return {}
    return mine


def _locked(path: Path) -> IO | None:
    """The file, locked while it is open; None if another process has the lock."""
    while True:
        file = _opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:  # a file system without locks, as Lustre may be mounted
            print(f"mettle: {path} cannot be locked ({error.strerror}): going on without", file=sys.stderr, flush=True)
            return file
        if _is_at(file, path):
            return file
        file.close()  # its last owner has removed it meanwhile, so this lock protects nothing


def _opened(path: Path) -> IO:
    """The file, created if need be; other processes may remove it and its folder at any time."""
    while True:
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a")


def _is_at(file: IO, path: Path) -> bool:
    """Whether an open file is the one at a path. It is opened again, since NFS caches names."""
    try:
        with path.open() as there:
            return os.path.sameopenfile(file.fileno(), there.fileno())
    except FileNotFoundError:
        return False


def _prune(folder: Path) -> None:
    """Remove a folder and those above it while they are empty, up to a hidden one; nothing without a hidden one."""
    hidden = next((place for place in (folder, *folder.parents) if place.name.startswith(".")), None)
    with suppress(OSError):  # it is not empty
        while hidden and folder.is_relative_to(hidden):
            folder.rmdir()
            folder = folder.parent
