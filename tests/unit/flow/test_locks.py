"""Locks between processes: one at a time at the same work, one job a GPU, and none outlives its process."""

import multiprocessing
import os
import re
import time

import pytest

from mettle.flow import locks
from waits import FAR

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with three GPUs, outside Slurm."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,5")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(locks, "_PAUSE", 0.01)


def other(function, *arguments):
    """A process that has come to the point at which `function` calls its last argument."""
    there = FORK.Event()
    process = FORK.Process(target=function, args=(*arguments, there.set), daemon=True)
    process.start()
    assert there.wait(FAR)
    return process


def hold_file(path, there):
    with locks.alone(path, print):
        there()
        time.sleep(FAR)


def hold_gpus(count, there):
    os.environ["CUDA_VISIBLE_DEVICES"] = "0,1,5"
    with locks.gpus(count, print):
        there()
        time.sleep(FAR)


def test_alone_nobody_waits(tmp_path):
    said = []
    for _ in range(2):
        with locks.alone(tmp_path / "new" / "lock", said.append) as waited:
            assert not waited
    assert said == []


def count(path, rounds):
    """Add to the number in a file, so slowly that two at a time would lose one."""
    for _ in range(rounds):
        with locks.alone(path, lambda text: None):
            number = int((path.parent.parent / "count").read_text())
            time.sleep(0.0005)
            (path.parent.parent / "count").write_text(str(number + 1))


def test_who_waits_for_a_lock_that_is_removed_meanwhile_is_alone_too(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PAUSE", 0.0001)
    (tmp_path / "count").write_text("0")
    path = tmp_path / ".resume" / "m.lock"
    processes = [FORK.Process(target=count, args=(path, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(FAR)
        assert process.exitcode == 0
    assert (tmp_path / "count").read_text() == "200"
    assert not path.parent.exists()


def test_a_lock_leaves_neither_its_file_nor_empty_folders(tmp_path):
    kept, resume = tmp_path / ".resume" / "attack" / "kept", tmp_path / ".resume"
    for path in (resume / "attack" / "digits" / "m" / "pgd.lock", resume / "m.lock"):
        kept.mkdir(parents=True, exist_ok=True)
        with locks.alone(path, print):
            assert path.exists()
        assert [found.name for found in resume.rglob("*")] == ["attack", "kept"], "what is in use stays"
        kept.rmdir()
    with locks.alone(resume / "m.lock", print):
        kept.rmdir() if kept.exists() else None
        kept.parent.rmdir()
    assert not resume.exists() and tmp_path.exists()


def test_a_lock_that_fails_its_job_goes_too(tmp_path):
    with pytest.raises(ValueError, match="broken"), locks.alone(tmp_path / "lock", print):
        raise ValueError("broken")
    assert not (tmp_path / "lock").exists()


def test_the_second_waits_until_the_first_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PAUSE", 0.01)
    first = other(hold_file, tmp_path / "lock")
    said = []

    def say(text):
        said.append(text)
        first.kill()

    with locks.alone(tmp_path / "lock", say) as waited:
        assert waited
    assert said == ["another process is running this job; waiting"]


def test_jobs_get_gpus_of_their_own(machine):
    first = other(hold_gpus, 1)
    with locks.gpus(2, print) as mine:
        assert mine == ["1", "5"] and os.environ["CUDA_VISIBLE_DEVICES"] == "1,5"
    first.kill()
    first.join()
    with locks.gpus(1, print) as mine:
        assert len(mine) == 1


def test_a_killed_job_leaves_its_gpu_free(machine):
    first, said = other(hold_gpus, 3), []

    def say(text):
        said.append(text)
        first.kill()

    with locks.gpus(2, say) as mine:
        assert mine == ["0", "1"]
    assert said == ["waiting for 2 of the GPUs 0, 1, 5, which other jobs use"]


def test_who_gets_too_few_keeps_none(machine):
    """Two jobs that want all of three must not hold one another up."""
    with locks.gpus(2, print):
        assert not locks._some(
            2, locks.visible(), locks.Path(locks.tempfile.gettempdir()) / f"mettle-gpus-{os.getuid()}"
        )
        third = other(hold_gpus, 1)
        third.kill()


def test_more_gpus_than_there_are_is_said(machine):
    with (
        pytest.raises(ValueError, match=r"^4 GPUs are asked for, this machine shows 3: 0, 1, 5$"),
        locks.gpus(4, print),
    ):
        raise AssertionError


@pytest.mark.parametrize(("count", "variable", "value"), [(0, "X", "1"), (3, "SLURM_JOB_ID", "7")])
def test_without_gpus_to_give_nothing_changes(machine, monkeypatch, count, variable, value):
    monkeypatch.setenv(variable, value)
    with locks.gpus(count, print) as mine:
        assert mine == [] and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,5"


def test_gpus_are_those_that_nvidia_smi_lists(machine, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert locks.visible() == ["0", "1"]
    program.write_text("#!/bin/sh\necho no devices were found\nexit 9\n")
    assert locks.visible() == []
    assert not re.search("mettle-gpus", " ".join(path.name for path in tmp_path.iterdir() if path.is_file()))


def test_in_an_allocation_jobs_share_its_gpus(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with locks.gpus(1, print) as mine:
        assert mine == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_file_system_without_locks_keeps_nobody_waiting(tmp_path, monkeypatch, capsys):
    def no_locks(file, flags):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with locks.alone(tmp_path / "lock", print) as waited:
        assert not waited
    assert "cannot be locked (Function not implemented): going on without" in capsys.readouterr().err
