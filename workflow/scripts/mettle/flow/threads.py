"""CPU threads of a job: as many as Snakemake counts, but no more than Slurm has given it."""

import os
from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def given(asked: int) -> int:
    """Threads that this process may use, of those that its rule asks for.

    Inside an allocation Snakemake counts the CPUs of the whole node where Slurm does not bind processes to the job's.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return asked
    told = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or asked
    return max(1, min(asked, int(told), len(os.sched_getaffinity(0))))


def limited(threads: int) -> AbstractContextManager:
    """Context in which the libraries of linear algebra that are loaded, NumPy's among them, take no more threads."""
    return threadpool_limits(limits=threads)
