"""Resources that jobs request: memory and run time, estimated from their work (docs/cluster.md)."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mettle.plan.loads import Load
from mettle.plan.work import Work

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

_SPARE = 1.5  # of memory
_SLACK = 3  # of time
_START = 10  # minutes that a job may take to start on a busy file system
# Measured without a GPU, see docs/cluster.md.
_PROCESS = 700  # MB of a process with its imports
_WORKER = 300  # MB of one that decodes images
_DECODED = 80  # photographs per second and process
_GFLOPS = 20  # a second and thread
# Assumed.
_CUDA = 4_000  # MB more of a process with a GPU
_GPU = 5_000  # Gflop/s of a GPU, unless the profile states it


@dataclass(frozen=True)
class Place:
    """Where a job runs.

    Attributes
    ----------
    threads : CPU threads, per node if there are several
    gpus, nodes : GPUs of all nodes, and nodes; there is one process per GPU
    gflops : operations per second of a GPU, in 1e9
    """

    threads: int
    gpus: int = 0
    nodes: int = 1
    gflops: float = _GPU

    def mb(self, load: Load) -> float:
        """Memory of a job on a node: of its processes, of those that decode images, and of the batches in the queue."""
        processes = max(1, self.gpus // self.nodes)
        workers = max(0, self.threads - processes) if load.batch else 0
        own = _PROCESS + load.mb + (_CUDA if self.gpus else load.passing)
        return processes * own + workers * _WORKER + 2 * (workers + 1) * load.batch

    def seconds(self, load: Load) -> float:
        """Time that a job takes."""
        speed = self.gflops * self.gpus or _GFLOPS * self.threads
        workers = self.nodes * max(1, self.threads - 1)
        return load.gflop / speed + load.decoded / (_DECODED * workers) + load.seconds


class Asked:
    """Resource functions of the rules.

    The limits of a site and the speed of its GPUs are under `resources` of the profile: `mem_mb`, which Snakemake
    respects by itself, `longest` in minutes, and `gflops`. What a profile sets for a rule overrides these estimates.

    Parameters
    ----------
    plan : what the jobs are
    workflow : Snakemake's, for `resources` of the profile and its settings of rules
    """

    def __init__(self, plan: "Plan", workflow: Any) -> None:
        self.work, self.workflow = Work(plan), workflow

    def memory(self, rule: str) -> Callable[..., int]:
        """Resource function: MB that a job of a rule requests, times the number of the attempt."""
        load = getattr(self.work, rule)

        def mb(wildcards: Any, attempt: int, threads: int, rulename: str) -> int:
            return attempt * _up(_SPARE * self._place(rulename, threads).mb(load(wildcards)), 500)

        return mb

    def minutes(self, rule: str) -> Callable[..., int]:
        """Resource function: minutes that a job of a rule requests, times the attempt; at most `longest`."""
        load = getattr(self.work, rule)

        def minutes(wildcards: Any, attempt: int, threads: int, rulename: str) -> int:
            taken = self._place(rulename, threads).seconds(load(wildcards)) / 60
            asked = attempt * _up(_START + _SLACK * taken, 5)
            return min(asked, self._limit("longest") or asked)

        return minutes

    def _place(self, rulename: str, threads: int) -> Place:
        """Where jobs of a rule run: with `gpu` GPUs, or those in `gres` on each of `nodes`."""
        given = self.workflow.get_rule(rulename).resources
        gpu, gres, nodes = (str(given.get(name).raw) for name in ("gpu", "gres", "nodes"))
        nodes = int(nodes) if nodes.isdigit() else 1
        gpus = int(gpu) if gpu.isdigit() else 0
        if found := re.search(r"gpu(?::\w+)*?:(\d+)", gres):
            gpus = nodes * int(found[1])
        return Place(threads, gpus, nodes, self._limit("gflops") or _GPU)

    def _limit(self, name: str) -> int | None:
        return self.workflow.global_resources.get(name).value


def _up(value: float, step: int) -> int:
    """The next multiple of a step."""
    return step * math.ceil(value / step)
