"""
A training across tasks of Slurm, on one node or several: each task is one process of the group.

The job's script starts them with srun and waits. They read their work from a file beside the training's state.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mettle.flow import Job
from mettle.models.checkpoint import STOPPED

_TASK = "import sys; from mettle.distributed import task; task.main(sys.argv[1])"


def run(work: str, order: dict[str, Any], job: Job) -> None:
    """Run a training in the tasks of the job's allocation.

    Parameters
    ----------
    work : function that each task calls with its group, `order` and `job`, as module:name
    order : the training as plain data, of `mettle.distributed.ordered`
    job : number of tasks and nodes, CPU threads of a task, GPUs of all

    Raises
    ------
    ValueError
        If there is no allocation, or the tasks cannot be spread evenly over the nodes.
    RuntimeError
        If a task failed; its traceback is in the log.
    SystemExit
        If the job was asked to end.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise ValueError(f"{job.tasks} tasks need Slurm: take `tasks` of rule {job.rule} out of the profile")
    if job.tasks % job.nodes:
        raise ValueError(f"{job.tasks} tasks do not spread evenly over {job.nodes} nodes: change the profile")
    path = Path(order["files"]["resume"]) / "order.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"rule": job.rule, "seed": job.seed, "threads": job.threads * job.tasks, "provenance": job.provenance}
    about["needs_cuda"] = job.needs_cuda
    path.write_text(json.dumps({"work": work, "order": order, "job": about, "nodes": job.nodes, "log": job.log.name}))
    code = _wait([*_srun(job), sys.executable, "-c", _TASK, str(path)])
    if code:
        raise RuntimeError(f"a task of the training failed (srun ended with {code})")


def _srun(job: Job) -> list[str]:
    # All tasks of a node see all its GPUs; each takes the one of its local rank.
    found = ["srun", f"--ntasks={job.tasks}", f"--nodes={job.nodes}", f"--ntasks-per-node={job.tasks // job.nodes}"]
    found += [f"--cpus-per-task={job.threads}", "--kill-on-bad-exit=1", "--cpu-bind=quiet"]
    return found + ([f"--gpus={job.gpus}"] if job.gpus else [])


def _wait(command: list[str]) -> int:
    """Exit status of a command, to which SIGTERM is passed on; this process then ends with it."""
    folder = str(Path(__file__).parents[2])
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": folder}) as process, _passing_on(process) as asked:
        code = process.wait()
    if asked:
        raise SystemExit(STOPPED)
    return code


@contextmanager
def _passing_on(process: subprocess.Popen) -> Iterator[list[int]]:
    asked: list[int] = []

    def pass_on(signum: int, frame: Any) -> None:
        asked.append(signum)
        process.send_signal(signum)

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, previous)
