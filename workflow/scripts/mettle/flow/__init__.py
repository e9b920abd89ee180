"""
The frame around every job of the workflow: log file, seeds, progress, provenance, traceback.

    with flow.job(snakemake) as job:
        tables.write(snakemake.output[0], tables.COMPARE, rows, job.provenance)
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mettle import files
from mettle.flow import locks

# Packages of others that numbers pass through; a test finds those that are missing here.
_PACKAGES = (
    *("torch", "torchvision", "timm", "lightning-fabric", "safetensors", "numpy", "scipy", "scikit-learn", "numba"),
    *("pandas", "pyarrow", "lmdb", "pillow", "simplejpeg", "tensorflow-datasets", "array-record", "pyautoattack"),
    *("ripser", "ripserplusplus", "giotto-ph", "pot"),
)
_MINUTE = 60.0  # seconds that a log may say nothing
_RESOURCES = {"gpus": ("gpu", 0), "tasks": ("tasks", 1), "nodes": ("nodes", 1)}


@dataclass
class Job:
    """What a running job needs to know of itself.

    Attributes
    ----------
    rule : name of the rule
    seed : seed of the run (the configuration's `seed`); None where its rule says that nothing is drawn
    threads : CPU threads the job may use
    provenance : rule, revision, git commit, parameters and their hash, package versions
    gpus, tasks, nodes : what the profile asks for: GPUs, Slurm tasks and the nodes that they are on
    waited : whether another process was at the same work, and has ended
    """

    rule: str
    seed: int | None
    threads: int
    provenance: dict[str, Any]
    log: Any = field(repr=False)
    gpus: int = 0
    tasks: int = 1
    nodes: int = 1
    waited: bool = False

    def say(self, text: str) -> None:
        """One line in the log, with the time."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self.log, flush=True)

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterator:
        """The items, counted: a bar on a terminal, and a line a minute in the log, also while one item takes longer."""
        total = len(items) if total is None and hasattr(items, "__len__") else total
        started = spoken = time.monotonic()
        bar = tqdm(items, desc=text, total=total, leave=False, disable=not sys.__stderr__.isatty(), file=sys.__stderr__)
        done = 0

        def waiting() -> None:
            if (seconds := time.monotonic() - spoken) >= _MINUTE:
                self.say(f"{text}: {done} of {total or '?'} done, the next for {seconds:.0f} s")

        with _every_minute(waiting):
            for done, item in enumerate(bar, start=1):
                yield item
                if time.monotonic() - spoken >= _MINUTE:
                    spoken = time.monotonic()
                    self.say(f"{text}: {done} of {total or '?'}, {(spoken - started) / done:.3g} s each")
        if spoken > started:
            self.say(f"{text}: {done} done in {time.monotonic() - started:.0f} s")


@contextmanager
def _every_minute(call: Callable[[], None]) -> Iterator[None]:
    """Call something once a minute in a thread of its own, until the block ends."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_MINUTE):
            call()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run a script's body with its log, seeds, GPUs and provenance; a failure leaves its traceback in the log.

    Parameters
    ----------
    snakemake : the object that Snakemake gives a script; its rule needs `log`, the param `revision`, and `seed` if its
        numbers depend on it
    """
    signal.signal(signal.SIGTERM, _terminate)
    seed = snakemake.params.get("seed")
    random.seed(seed or 0)
    np.random.seed((seed or 0) % 2**32)
    Path(snakemake.log[0]).parent.mkdir(parents=True, exist_ok=True)
    Path(snakemake.log[0]).write_text("", encoding="utf-8")
    with Path(snakemake.log[0]).open("a", encoding="utf-8") as log:  # other tasks of the job may write into it too
        asked = {name: int(snakemake.resources.get(key, least)) for name, (key, least) in _RESOURCES.items()}
        this = Job(snakemake.rule, seed, snakemake.threads, provenance(snakemake), log, **asked)
        this.say(f"{this.rule} {dict(snakemake.wildcards)} on {os.uname().nodename}, {this.threads} threads")
        try:
            with _alone(snakemake, this), locks.gpus(this.gpus, this.say):
                if this.gpus:
                    this.say(f"GPUs: {os.environ.get('CUDA_VISIBLE_DEVICES', 'none on this machine')}")
                yield this
        except BaseException as error:
            traceback.print_exc(file=log)
            if isinstance(error, Exception):
                sys.exit(f"{this.rule} {' '.join(snakemake.wildcards)}: {type(error).__name__}: {error}")
            raise
        this.say("done")


@contextmanager
def _alone(snakemake: Any, this: Job) -> Iterator[None]:
    """One job at a time goes on from the same folder: one that outlived its Snakemake may still be at it."""
    if folder := snakemake.params.get("resume"):
        with locks.alone(f"{folder}.lock", this.say) as this.waited:
            yield
    else:
        yield


def provenance(snakemake: Any) -> dict[str, Any]:
    """What made a file: rule, revision, git commit, the rule's parameters and their hash, package versions."""
    params = {key: value for key, value in snakemake.params.items() if key != "revision"}
    return {
        "rule": snakemake.rule,
        "revision": int(snakemake.params.revision),
        "commit": _commit(),
        "config": fingerprint(params)[:16],
        "params": json.loads(json.dumps(params, default=str)),
        "seed": snakemake.params.get("seed"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": _versions(),
    }


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts and their order; the same on every machine.

    Raises
    ------
    ValueError
        If a part is None, as the seed of a job is whose rule says that nothing is drawn.
    """
    if None in parts:
        raise ValueError(
            f"this is a bug: something is drawn from {parts}, but the rule of this job has no param `seed`"
        )
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def fingerprint(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: str | Path, sha256: str | None) -> None:
    """Compare a file with the SHA-256 of its row in a sheet, if the row has one; a folder has none.

    Raises
    ------
    ValueError
        If they differ; names both.
    """
    if not sha256 or Path(path).is_dir():
        return
    found = sha256_of(path)
    if found != sha256:
        raise ValueError(f"{path} has SHA-256 {found}, the row says {sha256}: download it again, or correct the row")


def _terminate(signum: int, frame: Any) -> None:
    raise SystemExit(128 + signum)


def _commit() -> str:
    """Commit of mettle's own folder, whoever owns it, and not of a repository that it is a part of."""
    if not shutil.which("git"):
        return "unknown"
    command = ["git", "-c", f"safe.directory={files.HOME}", "describe", "--always", "--dirty", "--abbrev=12"]
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(files.HOME.parent), "GIT_OPTIONAL_LOCKS": "0"}
    answer = subprocess.run(command, cwd=files.HOME, env=env, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    from mettle import __version__

    found = {"mettle": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
