"""What a run sets right before its first job: times of files from the future, jobs that a killed run left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mettle.controller import begin

HOUR = 3600 * 10**9


def put(folder, **ages):
    """Files with these ages in hours; those below 0 are from the future."""
    now = time.time_ns()
    for name, age in ages.items():
        path = folder / name
        path.write_text(name)
        os.utime(path, ns=(now - round(age * HOUR),) * 2)


def ordered(folder):
    """Names by time; equal times in one entry."""
    times = {}
    for path in folder.rglob("*"):
        if path.is_file():
            times.setdefault(path.stat().st_mtime_ns, set()).add(path.name)
    return [times[key] for key in sorted(times)]


def test_files_from_the_future_get_times_before_now_in_the_same_order(tmp_path):
    (tmp_path / "deep").mkdir()
    put(tmp_path, old=3, images=1)
    put(tmp_path / "deep", weights=-1, epochs=-2, features=-5)
    os.utime(tmp_path / "deep" / "epochs", ns=((tmp_path / "deep" / "weights").stat().st_mtime_ns,) * 2)
    before = (tmp_path / "images").stat().st_mtime_ns
    assert begin.settle_times(tmp_path) == 3
    assert ordered(tmp_path) == [{"old"}, {"images"}, {"weights", "epochs"}, {"features"}]
    assert max(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) < time.time_ns()
    assert (tmp_path / "images").stat().st_mtime_ns == before
    assert begin.settle_times(tmp_path) == 0


def test_times_of_the_past_stay(tmp_path):
    put(tmp_path, old=3, new=0.001)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert begin.settle_times(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """This process is no run before, and none after the test."""
    held = []
    monkeypatch.setattr(begin, "_HELD", held)
    yield
    for file in held:
        file.close()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for squeue and scancel: a queue in a file."""
    queue = tmp_path / "queue"
    squeue, scancel = tmp_path / "squeue", tmp_path / "scancel"
    squeue.write_text(f'#!/bin/sh\ncase "$*" in *--me*) cat {queue};; *) cut -d"|" -f1 {queue};; esac\n')
    scancel.write_text(f"#!/bin/sh\necho $* > {tmp_path}/cancelled\n: > {queue}\n")
    for program in (squeue, scancel):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return queue


@pytest.mark.parametrize("executor", ["slurm", "local"])
def test_only_the_jobs_of_this_folder_are_ended(executor, slurm, tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    slurm.write_text(
        f"5|rule_train_wildcards_a|{here}\n6|rule_train|{here}/../other\n7|mine|{here}\n8|rule_prep|{here}\n"
    )
    begin.begin(executor)
    assert (tmp_path / "cancelled").read_text() == "5 8\n"
    assert "mettle: ends 2 jobs that an earlier run left in Slurm: 5, 8\n" in capsys.readouterr().err


def test_nobodys_jobs_are_ended_while_another_run_lives(slurm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    slurm.write_text(f"5|rule_train|{tmp_path}\n")
    script = "import pathlib; from mettle.controller import begin; "
    script += "print(begin._first(pathlib.Path('.snakemake/runs.lock')), flush=True); input()"
    command = [sys.executable, "-c", script]
    env = os.environ | {"PYTHONPATH": str(Path(begin.__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as other:
        assert other.stdout.readline() == "True\n"
        begin.begin("slurm")
        assert not (tmp_path / "cancelled").exists()
        other.kill()
    begin._HELD.pop().close()
    begin.begin("slurm")
    assert (tmp_path / "cancelled").read_text() == "5\n"


def test_a_second_run_still_counts_after_the_first_has_ended(tmp_path):
    lock = tmp_path / "runs.lock"
    assert begin._first(lock) and not begin._first(lock)
    begin._HELD.pop(0).close()
    assert not begin._first(lock)


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, capsys):
    def no_locks(file, flags):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(begin.fcntl, "flock", no_locks)
    assert not begin._first(tmp_path / "runs.lock")
    assert "runs.lock cannot be locked (Function not implemented), so jobs of an" in capsys.readouterr().err


def test_a_queue_that_does_not_answer_is_said(slurm, tmp_path, capsys):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: none\\nNo such host' >&2\nexit 1\n")
    assert begin.left_jobs(tmp_path, expected=True) == []
    said = "squeue fails, so it is unknown whether an earlier run left jobs: slurm_load_jobs error: none No such host"
    assert said in capsys.readouterr().err


def test_a_slurm_that_nobody_asked_for_may_be_none(slurm, tmp_path, monkeypatch, capfd):
    # As where there is Slurm's client, but no cluster: four lines.
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'squeue: error: resolve_ctls_from_dns_srv' >&2\nexit 1\n")
    monkeypatch.chdir(tmp_path)
    begin.begin("local")
    assert capfd.readouterr() == ("", "")


def test_a_slurm_that_hangs_is_waited_for_shortly_where_nobody_asked_for_it(slurm, tmp_path, monkeypatch):
    waited = []

    def hang(command, timeout, **options):
        waited.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(begin.subprocess, "run", hang)
    assert begin.left_jobs(tmp_path, expected=False) == begin.left_jobs(tmp_path, expected=True) == []
    assert waited == [10, 60]


@pytest.mark.parametrize(("stderr", "gone"), [("Invalid job id specified", True), ("down", False)])
def test_jobs_are_gone_only_if_slurm_says_so(stderr, gone):
    assert begin._gone(subprocess.CompletedProcess([], 1, "", stderr)) == gone


def test_jobs_that_do_not_end_are_said(slurm, tmp_path, monkeypatch):
    slurm.write_text("5|rule_train|/x\n")
    (tmp_path / "scancel").write_text("#!/bin/sh\n")
    monkeypatch.setattr(begin, "_GRACE", 0)
    with pytest.raises(TimeoutError, match=r"^jobs 5 of an earlier run have not ended"):
        begin.end(["5"])


def test_where_there_is_no_slurm_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert begin.left_jobs(tmp_path, expected=True) == []


@pytest.mark.parametrize("folder", ["a folder", "it's", "$HOME", "plain"])
def test_a_python_in_any_folder_can_be_called_by_a_shell(tmp_path, monkeypatch, folder):
    place = tmp_path / folder / "bin"
    place.mkdir(parents=True)
    (place / "python3").write_text("#!/bin/sh\necho this one\n")
    (place / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(sys, "executable", str(place / "python3"))
    for _ in range(2):  # the rule files may be read more than once
        begin.python_by_name()
    assert sys.executable == (str(place / "python3") if folder == "plain" else "python3")
    said = subprocess.run(["sh", "-c", sys.executable], capture_output=True, text=True, check=True)
    assert said.stdout == "this one\n"
