"""
Changes to Snakemake's executor for Slurm, version 2.6.1.

It guesses an account by a call of sacct that fails on every cluster, also with the setting `no_account`. And a job
that was cancelled counts as a failed attempt, so that the next one would ask for more memory and time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

_CANCELLED = "SLURM status is: 'CANCELLED'"


def adapt(name: str, settings: Any) -> None:
    """Change the class of the executor for Slurm, if the run uses it; `settings` are the executor's."""
    if name != "slurm":
        return
    from snakemake_executor_plugin_slurm import Executor

    if settings.no_account:
        Executor.get_account_arg = account_if_given(Executor.get_account_arg)
    Executor.report_job_error = forgiving(Executor.report_job_error)


def account_if_given(asks: Callable) -> Callable:
    """`get_account_arg` that does not guess an account where the profile states none."""

    def get_account_arg(self: Any, job: Any) -> Iterator[str]:
        return asks(self, job) if job.resources.get("slurm_account") else iter([""])

    return get_account_arg


def forgiving(reports: Callable) -> Callable:
    """`report_job_error` that does not count cancelled attempts, up to the number of retries of a job."""
    cancelled: Counter = Counter()

    def report_job_error(self: Any, job_info: Any, msg: str | None = None, **more: Any) -> None:
        job = job_info.job
        if _CANCELLED in (msg or ""):
            cancelled[job.jobid] += 1
            if cancelled[job.jobid] <= job.restart_times:
                job._attempt -= 1  # its setter would lose the resources that the scheduler has yet to release
        reports(self, job_info, msg=msg, **more)

    return report_job_error
