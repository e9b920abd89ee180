"""
What Snakemake's executor for Slurm is to do otherwise here; version 2.6.1.

It guesses an account by a call of sacct that is an error on every cluster, whatever its setting `no_account` says. And
a job that somebody cancelled counts as a failed attempt, so that the next one would ask for more memory and time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

_CANCELLED = "SLURM status is: 'CANCELLED'"


def adapt(name: str, settings: Any) -> None:
    """Change the class of the executor for Slurm, if the run has that; `settings` are the executor's."""
    if name != "slurm":
        return
    from snakemake_executor_plugin_slurm import Executor

    if settings.no_account:
        Executor.get_account_arg = account_if_given(Executor.get_account_arg)
    Executor.report_job_error = forgiving(Executor.report_job_error)


def account_if_given(asks: Callable) -> Callable:
    """`get_account_arg` that looks for no account where the profile gives none."""

    def get_account_arg(self: Any, job: Any) -> Iterator[str]:
        return asks(self, job) if job.resources.get("slurm_account") else iter([""])

    return get_account_arg


def forgiving(reports: Callable) -> Callable:
    """`report_job_error` that does not count an attempt that was cancelled, as often as a job may be tried again."""
    cancelled: Counter = Counter()

    def report_job_error(self: Any, job_info: Any, msg: str | None = None, **more: Any) -> None:
        job = job_info.job
        if _CANCELLED in (msg or ""):
            cancelled[job.jobid] += 1
            if cancelled[job.jobid] <= job.restart_times:
                job._attempt -= 1  # its setter would forget the resources that the scheduler has yet to take back
        reports(self, job_info, msg=msg, **more)

    return report_job_error
