"""What the executor for Slurm does otherwise: no account is guessed, and a cancelled attempt does not count."""

from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import Executor

from mettle.controller import executor


@pytest.fixture
def adapted(monkeypatch):
    """The executor's class, adapted to these settings; as it was after the test."""
    monkeypatch.setattr(Executor, "get_account_arg", Executor.get_account_arg)
    monkeypatch.setattr(Executor, "report_job_error", lambda self, info, msg=None, **more: self.errors.append(msg))

    def adapt(**settings):
        executor.adapt("slurm", SimpleNamespace(**settings))
        made = Executor.__new__(Executor)
        made.errors, made._fallback_account_arg = [], None
        said = []
        made.logger = SimpleNamespace(warning=said.append)
        return made, said

    return adapt


@pytest.fixture
def no_sacct(monkeypatch):
    def sacct(command, **options):
        raise AssertionError(f"{command} is called")

    monkeypatch.setattr("snakemake_executor_plugin_slurm.accounts.subprocess.check_output", sacct)


def test_where_no_account_is_given_none_is_looked_for(adapted, no_sacct):
    made, said = adapted(no_account=True)
    assert next(made.get_account_arg(SimpleNamespace(resources={}))) == "" and said == []


def test_an_account_that_is_given_is_asked_about_as_before(adapted, no_sacct):
    made, _ = adapted(no_account=True)
    resources = type("Resources", (dict,), {"slurm_account": "physics"})(slurm_account="physics")
    with pytest.raises(AssertionError, match="sacctmgr"):
        next(made.get_account_arg(SimpleNamespace(resources=resources)))


def test_without_the_setting_one_is_guessed(adapted, no_sacct):
    made, said = adapted(no_account=False)
    with pytest.raises(AssertionError, match="sacct"):
        next(made.get_account_arg(SimpleNamespace(resources={})))
    assert said == ["No SLURM account given, trying to guess."]


class Job:
    """A job that may be tried three times more; after an error Snakemake adds one to its attempt."""

    jobid, restart_times = 7, 3

    def __init__(self):
        self._attempt = 1


def attempts(made, *states):
    """Attempts of a job after it has ended in these states one after the other."""
    job, found = Job(), []
    for state in states:
        said = f"SLURM-job '12' failed, SLURM status is: '{state}'. Detailed failure reason unavailable"
        made.report_job_error(SimpleNamespace(job=job), msg=said, aux_logs=[])
        job._attempt += 1
        found.append(job._attempt)
    assert len(made.errors) == len(states), "it is reported all the same"
    return found


def test_what_fails_asks_for_more_and_what_is_cancelled_does_not(adapted):
    made, _ = adapted(no_account=True)
    assert attempts(made, "OUT_OF_MEMORY", "CANCELLED", "TIMEOUT", "FAILED", "CANCELLED") == [2, 2, 3, 4, 4]


def test_a_job_is_not_cancelled_for_nothing_without_end(adapted):
    made, _ = adapted(no_account=True)
    assert attempts(made, *["CANCELLED"] * 6) == [1, 1, 1, 2, 3, 4]


def test_an_error_without_a_state_counts(adapted):
    made, _ = adapted(no_account=True)
    job = Job()
    made.report_job_error(SimpleNamespace(job=job))
    assert job._attempt == 1 and made.errors == [None]
