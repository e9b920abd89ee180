"""
The frame around every job of the workflow: log file, seeds, threads, progress, provenance, traceback.

    with flow.job(snakemake) as job:
        tables.write(snakemake.output[0], tables.COMPARE, rows, job.provenance)
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from mettle import files
from mettle.digests import fingerprint
from mettle.flow import attempts, locks, threads
from mettle.flow.machine import processor
from mettle.flow.progress import Speaker

# Third-party packages that results depend on; a test finds those that are missing here.
_PACKAGES = (
    *("torch", "torchvision", "timm", "lightning-fabric", "safetensors", "numpy", "scipy", "scikit-learn", "numba"),
    *("pandas", "pyarrow", "lmdb", "pillow", "simplejpeg", "pycocotools", "tensorflow-datasets", "array-record"),
    *("pyautoattack", "ripser", "ripserplusplus", "giotto-ph", "pot", "opencv-python-headless"),
    *(f"onedl-{name}" for name in ("mmengine", "mmcv", "mmsegmentation", "mmdetection")),
)
_RESOURCES = {"gpus": ("gpu", 0), "tasks": ("tasks", 1), "nodes": ("nodes", 1)}
_SIGNALS = {130: "Ctrl-C", 143: "SIGTERM, as scancel, preemption and limits of time send it"}  # by exit status


@dataclass
class Job(Speaker):
    """What a running job needs to know about itself.

    Attributes
    ----------
    rule : name of the rule
    seed : seed of the run (the configuration's `seed`); None where its rule states that nothing is random
    threads : CPU threads the job may use
    provenance : rule, revision, git commit, parameters and their hash, processor, package versions
    gpus, tasks, nodes : what the profile asks for: GPUs, Slurm tasks and the nodes that they are on
    needs_cuda : whether it was given a GPU and the profile does not allow the CPU in its place
    waited : whether it had to wait for another process that was running the same job
    """

    rule: str
    seed: int | None
    threads: int
    provenance: dict[str, Any]
    gpus: int = 0
    tasks: int = 1
    nodes: int = 1
    needs_cuda: bool = False
    waited: bool = False


@contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run a script's body with its log, seeds, threads, GPUs and provenance.

    The log gets the traceback of a failure, or a sentence about the signal that ended the job, after the lines of
    earlier attempts at the same result.

    Parameters
    ----------
    snakemake : the object that Snakemake gives a script; its rule needs `log`, the param `revision`, and `seed` if its
        numbers depend on it
    """
    signal.signal(signal.SIGTERM, _terminate)
    seed = snakemake.params.get("seed")
    random.seed(seed or 0)
    np.random.seed((seed or 0) % 2**32)
    granted = threads.given(snakemake.threads)
    with attempts.log(snakemake.log[0]) as (log, heading), threads.limited(granted):
        asked = {name: int(snakemake.resources.get(key, least)) for name, (key, least) in _RESOURCES.items()}
        this = Job(log, snakemake.rule, seed, granted, provenance(snakemake), **asked)
        this.say(f"{heading}: {this.rule} {dict(snakemake.wildcards)} on {os.uname().nodename}, {granted} threads")
        try:
            this.needs_cuda = _needs_cuda(snakemake)
            with _alone(snakemake, this), locks.gpus(this.gpus, this.say):
                if this.gpus:
                    this.say(f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', ' (not set)')}")
                yield this
        except Exception as error:
            traceback.print_exc(file=log)
            sys.exit(f"{this.rule} {' '.join(snakemake.wildcards)}: {type(error).__name__}: {error}")
        except (SystemExit, KeyboardInterrupt) as end:
            sys.exit(_last_word(end, snakemake, this))
        this.say("done")


def _needs_cuda(snakemake: Any) -> bool:
    resources = snakemake.resources
    without = resources.get("without_cuda", "stop")
    if without not in ("stop", "cpu"):
        raise ValueError(f"without_cuda of rule {snakemake.rule} is '{without}' in the profile: it is stop, or cpu")
    given = resources.get("gpu", 0) or "gpu" in str(resources.get("gres", ""))
    return bool(given) and without == "stop"


def _last_word(end: SystemExit | KeyboardInterrupt, snakemake: Any, this: Job) -> int | str | None:
    """Log the signal that ended a job, in a sentence; returns the exit status."""
    status = end.code if isinstance(end, SystemExit) else 130
    if isinstance(status, str):
        this.say(status)
        return status
    rest = "finished work is kept, and the next attempt resumes from it"
    if not snakemake.params.get("resume"):
        rest = "the next attempt starts over"
    text = f"stopped by {_SIGNALS.get(status, f'its exit with status {status}')}; {rest}"
    this.say(text)
    print(f"{this.rule} {' '.join(snakemake.wildcards)}: {text}", file=sys.stderr, flush=True)
    return status


@contextmanager
def _alone(snakemake: Any, this: Job) -> Iterator[None]:
    """Only one job at a time resumes from a folder: one that outlived its Snakemake may still be running."""
    if folder := snakemake.params.get("resume"):
        with locks.alone(f"{folder}.lock", this.say) as this.waited:
            yield
    else:
        yield


def provenance(snakemake: Any) -> dict[str, Any]:
    """What made a file: rule, revision, git commit, parameters and their hash, processor, package versions."""
    params = {key: value for key, value in snakemake.params.items() if key != "revision"}
    return {
        "rule": snakemake.rule,
        "revision": int(snakemake.params.revision),
        "commit": commit(),
        "config": fingerprint(params)[:16],
        "params": json.loads(json.dumps(params, default=str)),
        "seed": snakemake.params.get("seed"),
        "processor": processor(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": versions(),
    }


def _terminate(signum: int, frame: Any) -> None:
    raise SystemExit(128 + signum)


def commit() -> str:
    """Commit of mettle's own repository, whoever owns it, and not of one that contains it."""
    if not shutil.which("git"):
        return "unknown"
    command = ["git", "-c", f"safe.directory={files.HOME}", "describe", "--always", "--dirty", "--abbrev=12"]
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(files.HOME.parent), "GIT_OPTIONAL_LOCKS": "0"}
    answer = subprocess.run(command, cwd=files.HOME, env=env, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def versions(also: Iterable[str] = ()) -> dict[str, str]:
    """Versions of mettle and of the installed packages that results depend on, and of others, by name."""
    from mettle import __version__

    found = {"mettle": __version__}
    for name in (*_PACKAGES, *also):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
