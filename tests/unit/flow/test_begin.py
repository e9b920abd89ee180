"""What a run sets right before its first job: times of files from the future, jobs that a killed run left."""

import os
import time

import pytest

from mettle.flow import begin

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


def test_only_the_jobs_of_this_folder_are_ended(slurm, tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    slurm.write_text(
        f"5|rule_train_wildcards_a|{here}\n6|rule_train|{here}/../other\n7|mine|{here}\n8|rule_prep|{here}\n"
    )
    begin.begin()
    assert (tmp_path / "cancelled").read_text() == "5 8\n"
    assert "mettle: ends 2 jobs that an earlier run left in Slurm: 5, 8\n" in capsys.readouterr().err


def test_jobs_that_do_not_end_are_said(slurm, tmp_path, monkeypatch):
    slurm.write_text("5|rule_train|/x\n")
    (tmp_path / "scancel").write_text("#!/bin/sh\n")
    monkeypatch.setattr(begin, "_GRACE", 0)
    with pytest.raises(TimeoutError, match=r"^jobs 5 of an earlier run do not end"):
        begin.end(["5"])


def test_where_there_is_no_slurm_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert begin.left_jobs(tmp_path) == []
