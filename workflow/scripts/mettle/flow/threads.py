"""CPU threads of a job: as many as Snakemake counts, but no more than Slurm has allocated."""

import os
from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def given(asked: int) -> int:
    """Threads that this process may use, of those that its rule asks for.

    Inside an allocation Snakemake counts all CPUs of the node if Slurm does not bind processes to those of the job.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return asked
    told = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or asked
    return max(1, min(asked, int(told), len(os.sched_getaffinity(0))))


def limited(threads: int) -> AbstractContextManager:
    """Context that limits the threads of the linear algebra libraries that are loaded, such as NumPy's."""
    return threadpool_limits(limits=threads)
