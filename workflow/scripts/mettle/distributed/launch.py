"""Starts the processes of a training on this machine, or lets Slurm start them on several."""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from mettle.distributed import slurm
from mettle.distributed.group import ProcessGroup
from mettle.flow import Job

ALONE = {"accelerator": "auto", "devices": None, "strategy": "ddp", "checkpoint_seconds": 300}
Work = Callable[[ProcessGroup, dict[str, Any], Job], None]


def run(work: Work, order: dict[str, Any], job: Job) -> None:
    """Run a function in every process that a job has for one training.

    Parameters
    ----------
    work : called with the group, `order` and `job`; Slurm's tasks import it by its name
    order : what the training needs, of `mettle.distributed.ordered`; `options` as `launch` takes them
    job : the job, with its numbers of GPUs, tasks and nodes
    """
    if job.tasks > 1:
        slurm.run(f"{work.__module__}:{work.__qualname__}", order, job)
    else:
        launch(partial(work, order=order, job=job), order["options"], job.gpus)


def launch(function: Callable[[ProcessGroup], None], options: dict[str, Any], gpus: int = 0) -> None:
    """Run a function in every process of a group; alone in this process if the options ask for no more.

    Parameters
    ----------
    function : called with the group
    options : `accelerator` and `devices` as Fabric takes them, no `devices` for as many as there are GPUs; `strategy`
    gpus : GPUs of the job; with one or none, and no other options, this process works alone

    Raises
    ------
    ValueError
        If weights are to be in shards and there is one process.
    RuntimeError
        With the message of the first process that failed.
    SystemExit
        If the processes were asked to end; this one passes the signal on to them.

    Notes
    -----
    Processes are forked: the script of a rule has no main guard, so it cannot be imported again by spawned ones. CUDA
    must not be in use before.
    """
    devices = options["devices"] or max(1, gpus)
    if options["strategy"] == "fsdp" and devices == 1:
        raise ValueError(
            "configuration: train.strategy is 'fsdp', but there is one process to shard weights over: give the rule "
            "`train` more GPUs or tasks, set train.devices, or set train.strategy to 'ddp'"
        )
    if (options["accelerator"], devices) == ("auto", 1):
        return function(ProcessGroup())
    fabric, previous = _fabric(options["accelerator"], devices), signal.getsignal(signal.SIGTERM)

    def work(launched: Any) -> Any:
        signal.signal(signal.SIGTERM, previous)
        try:
            function(ProcessGroup(launched, options["strategy"]))
        except SystemExit as end:
            return end.code
        return None

    with _told(), _passing_on():
        code = fabric.launch(work)
    if code is not None:
        raise SystemExit(code)


def _fabric(accelerator: str, devices: int) -> Any:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a greeting
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    # Under Slurm, Fabric would wait for processes that srun starts (mettle.distributed.slurm); these are started here.
    strategy = "ddp_fork" if devices > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=devices, strategy=strategy, plugins=[LightningEnvironment()])


@contextmanager
def _told() -> Iterator[None]:
    """The failure of another process as an error whose message is that process's last line."""
    try:
        yield
    except torch.multiprocessing.ProcessRaisedException as error:
        raise RuntimeError(str(error).strip().splitlines()[-1]) from error


@contextmanager
def _passing_on() -> Iterator[None]:
    """Passes SIGTERM on to the processes of the group, which end by themselves."""

    def pass_on(signum: int, frame: Any) -> None:
        for child in multiprocessing.active_children():
            child.terminate()

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
