"""The frame around a job: log, seeds, provenance, progress, and one line for whatever failed."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from imports import SCRIPTS, packages
from mettle import files, flow
from mettle.flow import locks, progress
from waits import until

TIME = r"\d\d:\d\d:\d\d"


class Named(dict):
    """Named values as Snakemake gives them: attributes, `items`, and iteration over the values."""

    __getattr__ = dict.__getitem__

    def __iter__(self):
        return iter(self.values())


def snakemake(folder, **params):
    return SimpleNamespace(
        rule="compare",
        params=Named({"revision": 3, "seed": 7} | params),
        wildcards=Named(dataset="scenes", model="vgg5-plain-s0"),
        threads=2,
        resources=Named(),
        log=[str(folder / "logs" / "compare.log")],
    )


@pytest.fixture(autouse=True)
def _state():
    """Nothing that a job sets outlives the test."""
    handler, states = signal.getsignal(signal.SIGTERM), (random.getstate(), np.random.get_state())
    yield
    signal.signal(signal.SIGTERM, handler)
    random.setstate(states[0])
    np.random.set_state(states[1])


def test_a_job_writes_its_log(tmp_path):
    with flow.job(snakemake(tmp_path)) as job:
        job.say("half way")
    first, middle, last = (tmp_path / "logs" / "compare.log").read_text().splitlines()
    cell = r"compare {'dataset': 'scenes', 'model': 'vgg5-plain-s0'}"
    assert re.fullmatch(rf"{TIME} attempt 1, \d{{4}}-\d\d-\d\d: {cell} on \S+, 2 threads", first)
    assert middle.endswith(" half way") and last.endswith(" done")
    assert (job.rule, job.seed, job.threads) == ("compare", 7, 2)


def test_a_job_is_seeded(tmp_path):
    draws = []
    for seed in (7, 7, 8):
        with flow.job(snakemake(tmp_path, seed=seed)):
            draws.append((random.random(), np.random.random()))
    assert draws[0] == draws[1]
    assert draws[0][0] != draws[2][0] and draws[0][1] != draws[2][1]


def test_a_failure_is_one_line_and_its_traceback_is_in_the_log(tmp_path):
    with pytest.raises(SystemExit) as caught, flow.job(snakemake(tmp_path)):
        raise ValueError("k must be at least 1")
    assert caught.value.code == "compare scenes vgg5-plain-s0: ValueError: k must be at least 1"
    log = (tmp_path / "logs" / "compare.log").read_text()
    assert "Traceback (most recent call last)" in log and "test_job.py" in log
    assert "ValueError: k must be at least 1" in log
    assert not log.endswith("done\n")


def interrupted():
    raise KeyboardInterrupt


SIGTERM = "SIGTERM, as scancel, preemption and limits of time send it"
ANEW, KEPT = "the next attempt starts over", "finished work is kept, and the next attempt resumes from it"


@pytest.mark.parametrize(
    ("end", "status", "text"),
    [
        (interrupted, 130, f"stopped by Ctrl-C; {ANEW}"),
        (lambda: signal.raise_signal(signal.SIGTERM), 143, f"stopped by {SIGTERM}; {ANEW}"),
        (lambda: sys.exit(3), 3, f"stopped by its exit with status 3; {ANEW}"),
    ],
)
def test_what_ends_a_job_is_a_sentence(tmp_path, capfd, end, status, text):
    with pytest.raises(SystemExit) as caught, flow.job(snakemake(tmp_path)):
        end()
    assert caught.value.code == status
    assert re.fullmatch(rf"{TIME} {text}", (tmp_path / "logs" / "compare.log").read_text().splitlines()[1])
    assert capfd.readouterr().err == f"compare scenes vgg5-plain-s0: {text}\n"


def test_a_job_that_can_go_on_says_so_when_it_is_ended(tmp_path):
    with pytest.raises(SystemExit), flow.job(snakemake(tmp_path, resume=str(tmp_path / "resume" / "m"))):
        signal.raise_signal(signal.SIGTERM)
    assert (tmp_path / "logs" / "compare.log").read_text().endswith(f"stopped by {SIGTERM}; {KEPT}\n")


def test_a_job_that_ends_with_a_sentence_of_its_own_keeps_it(tmp_path):
    with pytest.raises(SystemExit, match=r"^the state is saved$"), flow.job(snakemake(tmp_path)):
        raise SystemExit("the state is saved")
    lines = (tmp_path / "logs" / "compare.log").read_text().splitlines()
    assert len(lines) == 2 and lines[1].endswith(" the state is saved")


# Attempts


def attempt(folder, body=lambda: None):
    """Run a job as Snakemake does, which takes the log away before; its log."""
    log = folder / "logs" / "compare.log"
    log.unlink(missing_ok=True)
    try:
        with flow.job(snakemake(folder)) as job:
            job.say("at work")
            body()
    except SystemExit:
        pass
    return log.read_text()


def fails():
    raise ValueError("too late")


def headings(log):
    return [int(number) for number in re.findall(rf"^{TIME} attempt (\d+), ", log, re.MULTILINE)]


def test_the_log_keeps_the_attempts_before_until_one_succeeds(tmp_path):
    assert headings(attempt(tmp_path, fails)) == [1]
    assert headings(attempt(tmp_path, lambda: signal.raise_signal(signal.SIGTERM))) == [1, 2]
    log = attempt(tmp_path)
    assert headings(log) == [1, 2, 3] and log.count("at work") == 3
    assert "ValueError: too late" in log and "stopped by SIGTERM" in log and log.endswith(" done\n")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["compare.log"]
    assert headings(attempt(tmp_path)) == [1], "what has succeeded begins a new log"


def test_the_log_of_a_killed_attempt_is_kept(tmp_path):
    if not (child := os.fork()):
        attempt(tmp_path, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    log = attempt(tmp_path)
    assert headings(log) == [1, 2] and log.count("at work") == 2


def test_without_links_the_log_is_that_of_the_last_attempt(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.hardlink_to", lambda *_: (_ for _ in ()).throw(PermissionError("no links")))
    assert headings(attempt(tmp_path, fails)) == headings(attempt(tmp_path)) == [1]
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["compare.log"]


def test_an_attempt_names_its_job_of_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert re.match(rf"{TIME} attempt 1, \S+, job 4711 of Slurm: compare ", attempt(tmp_path))


# Threads and GPUs


def started(folder, threads=2, **resources):
    """The job, and the threads that NumPy takes in it."""
    told = snakemake(folder)
    told.threads, told.resources = threads, Named(resources)
    with flow.job(told) as job:
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return job, max(pools)


@pytest.mark.parametrize(
    ("variables", "cpus", "expected"),
    [
        ({}, 2, 8),
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "6"}, 64, 4),
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "6"}, 64, 6),
        ({"SLURM_JOB_ID": "7"}, 5, 5),
        ({"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "12"}, 64, 8),
    ],
    ids=["no Slurm", "of the task", "of the node", "bound to", "more than asked for"],
)
def test_a_job_takes_no_more_threads_than_slurm_gave_it(tmp_path, monkeypatch, variables, cpus, expected):
    for name in ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)))
    job, pools = started(tmp_path, threads=8)
    assert job.threads == expected
    assert pools == expected
    assert f", {expected} threads\n" in (tmp_path / "logs" / "compare.log").read_text()


def test_the_log_names_the_gpus_by_what_cuda_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    started(tmp_path, gpu=2)
    assert "CUDA_VISIBLE_DEVICES=1,3\n" in (tmp_path / "logs" / "compare.log").read_text()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, False),
        ({"gpu": 0}, False),
        ({"gpu": 1}, True),
        ({"gpu": 0, "gres": "gpu:4"}, True),
        ({"gpu": 1, "without_cuda": "stop"}, True),
        ({"gpu": 1, "without_cuda": "cpu"}, False),
    ],
)
def test_a_job_that_was_given_a_gpu_needs_cuda_unless_the_profile_says_otherwise(tmp_path, resources, expected):
    assert started(tmp_path, **resources)[0].needs_cuda is expected


def test_what_else_the_profile_says_is_refused(tmp_path):
    with pytest.raises(
        SystemExit, match=r"ValueError: without_cuda of rule compare is 'CPU' in the profile: it is stop"
    ):
        started(tmp_path, gpu=1, without_cuda="CPU")


# Provenance


def test_provenance_says_what_made_a_file(tmp_path):
    found = flow.provenance(snakemake(tmp_path))
    assert set(found) == {"rule", "revision", "commit", "config", "params", "seed", "processor", "python", "versions"}
    assert (found["rule"], found["revision"], found["seed"]) == ("compare", 3, 7)
    assert found["versions"]["numpy"] == np.__version__ and "mettle" in found["versions"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["commit"]


# Packages that the scripts import and no number passes through: they read settings, check, fetch, count, log and draw.
ASIDE = {
    *("jsonschema", "pyyaml", "google-crc32c", "tqdm", "threadpoolctl", "requests", "huggingface-hub"),
    *("tensorboard", "wandb", "matplotlib", "seaborn"),
    *("snakemake", *(f"snakemake-storage-plugin-{name}" for name in ("gcs", "http", "s3", "zenodo"))),
}


def test_provenance_names_every_package_that_numbers_pass_through():
    used = set().union(*(packages(path) for path in SCRIPTS.glob("*.py")))
    assert used - ASIDE == set(flow._PACKAGES)
    assert used >= ASIDE


def test_the_hash_is_that_of_the_parameters_without_the_revision(tmp_path):
    def hashed(**params):
        return flow.provenance(snakemake(tmp_path, **params))["config"]

    assert hashed(measure={"k": 10}) == hashed(measure={"k": 10}, revision=4)
    assert hashed(measure={"k": 10}) != hashed(measure={"k": 11})
    assert hashed(measure={"k": 10}) != hashed(measure={"k": 10}, seed=8)
    assert len(hashed()) == 16


def git(folder, *arguments):
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a file in a folder, which is mettle's own."""
    (tmp_path / "mettle").mkdir()
    (tmp_path / "mettle" / "file").touch()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=all")
    monkeypatch.setattr(files, "HOME", tmp_path)
    return tmp_path


def test_the_commit_is_told_whoever_owns_the_folder(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    git_says = subprocess.run(["git", "-C", repository, "describe"], capture_output=True, text=True, check=False)
    assert "dubious ownership" in git_says.stderr
    found = flow.commit()
    assert re.fullmatch("[0-9a-f]{12}", found)
    (repository / "mettle" / "file").write_text("changed")
    assert flow.commit() == f"{found}-dirty"


def test_the_commit_of_a_repository_around_mettle_is_not_mettles(repository, monkeypatch):
    monkeypatch.setattr(files, "HOME", repository / "mettle")
    assert flow.commit() == "unknown"


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert flow.commit() == "unknown"


# Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now, strftime=lambda form: "12:00:00")
    monkeypatch.setattr(progress, "time", fake)
    return clock


def lines_of(tmp_path, clock, items, seconds, total=None):
    with flow.job(snakemake(tmp_path)) as job:
        found = []
        for item in job.progress(items, "images", total):
            found.append(item)
            clock.now += seconds
    return found, (tmp_path / "logs" / "compare.log").read_text().splitlines()[1:-1]


def test_progress_gives_everything_and_is_silent_within_a_minute(tmp_path, clock):
    found, lines = lines_of(tmp_path, clock, range(5), 10)
    assert found == [0, 1, 2, 3, 4] and lines == []


def test_progress_says_a_line_a_minute(tmp_path, clock):
    found, lines = lines_of(tmp_path, clock, range(7), 25)
    assert found == list(range(7))
    assert lines == [
        "12:00:00 images: 3 of 7, 25 s each",
        "12:00:00 images: 6 of 7, 25 s each",
        "12:00:00 images: 7 done in 175 s",
    ]


def test_progress_of_an_iterator_has_no_total_unless_told(tmp_path, clock):
    assert lines_of(tmp_path, clock, iter("ab"), 61)[1][0] == "12:00:00 images: 1 of ?, 61 s each"
    assert lines_of(tmp_path, clock, iter("ab"), 61, total=2)[1][0] == "12:00:00 images: 1 of 2, 61 s each"
    assert lines_of(tmp_path, clock, iter(""), 61) == ([], [])


def test_progress_counts_loops_within_loops_together(tmp_path, clock):
    with flow.job(snakemake(tmp_path)) as job:
        for batch in job.progress(["first", "second"], "attack"):
            for _ in job.progress(range(4), f"pgd on the {batch}"):
                clock.now += 25
            job.say(f"{batch} done")
    assert (tmp_path / "logs" / "compare.log").read_text().splitlines()[1:-1] == [
        "12:00:00 attack: 0 of 2, 75 s so far; pgd on the first: 3 of 4, 25 s each",
        "12:00:00 first done",
        "12:00:00 attack: 1 of 2, 175 s each; pgd on the second: 3 of 4, 25 s each",
        "12:00:00 second done",
        "12:00:00 attack: 2 done in 200 s",
    ]


def test_a_loop_that_is_broken_off_counts_no_more(tmp_path, clock):
    with flow.job(snakemake(tmp_path)) as job:
        for _ in job.progress(range(2), "attack"):
            for _ in job.progress(range(4), "steps"):
                break
            assert [level.text for level in job.levels] == ["attack"]


def test_progress_speaks_while_one_item_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "MINUTE", 0.02)
    log = tmp_path / "logs" / "compare.log"
    with flow.job(snakemake(tmp_path)) as job:
        for _ in job.progress(["slow"], "images"):
            until("a line on the loop", lambda: re.search(r"images: 0 of 1, \d s so far", log.read_text()))


def test_progress_is_never_silent_for_longer_than_a_minute(tmp_path, monkeypatch):
    """Also where the last word came between two beats."""
    monkeypatch.setattr(progress, "MINUTE", 0.4)
    with flow.job(snakemake(tmp_path)) as job:
        loop = job.progress(["slow"], "images")
        next(loop)
        time.sleep(0.3)
        job.say("a word")
        spoken = job.spoken
        until("the next line", lambda: job.spoken > spoken)
        assert job.spoken - spoken < 0.7  # and not the 0.5 + 0.4 of a beat that waits for its next turn
        loop.close()


def test_on_a_terminal_there_is_a_bar_for_each_loop(tmp_path, monkeypatch):
    terminal = SimpleNamespace(written="", isatty=lambda: True, flush=lambda: None)
    terminal.write = lambda text: setattr(terminal, "written", terminal.written + text)
    monkeypatch.setattr(sys, "__stderr__", terminal)
    with flow.job(snakemake(tmp_path)) as job:
        for _ in job.progress(range(2), "attack"):
            for _ in job.progress(range(50), "pgd"):
                pass
    assert "attack:" in terminal.written and "pgd:" in terminal.written and "/50" in terminal.written


def test_progress_that_is_left_early_speaks_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "MINUTE", 0.01)
    before = threading.active_count()
    with flow.job(snakemake(tmp_path)) as job:
        items = job.progress(range(3), "images")
        next(items)
        assert threading.active_count() == before + 1
        items.close()
        assert threading.active_count() == before


def test_a_job_that_can_go_on_is_alone_at_its_folder(tmp_path):
    folder = str(tmp_path / "resume" / "m")
    with flow.job(snakemake(tmp_path, resume=folder)) as first:
        assert not first.waited and locks._locked(Path(f"{folder}.lock")) is None
    assert not Path(f"{folder}.lock").exists()
