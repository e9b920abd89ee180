"""The frame around a job: log, seeds, provenance, progress, and one line for whatever failed."""

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

from imports import SCRIPTS, packages
from mettle import files, flow
from mettle.flow import locks


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
        resources={},
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
    assert "compare {'dataset': 'scenes', 'model': 'vgg5-plain-s0'} on " in first and first.endswith(", 2 threads")
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


def test_an_interrupt_passes_through(tmp_path):
    with pytest.raises(KeyboardInterrupt), flow.job(snakemake(tmp_path)):
        raise KeyboardInterrupt
    assert "KeyboardInterrupt" in (tmp_path / "logs" / "compare.log").read_text()


def test_a_terminated_job_unwinds(tmp_path):
    with pytest.raises(SystemExit) as caught, flow.job(snakemake(tmp_path)):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert "SystemExit: 143" in (tmp_path / "logs" / "compare.log").read_text()


# Provenance


def test_provenance_says_what_made_a_file(tmp_path):
    found = flow.provenance(snakemake(tmp_path))
    assert set(found) == {"rule", "revision", "commit", "config", "params", "seed", "python", "versions"}
    assert (found["rule"], found["revision"], found["seed"]) == ("compare", 3, 7)
    assert found["versions"]["numpy"] == np.__version__ and "mettle" in found["versions"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["commit"]


# Packages that the scripts import and no number passes through: they read settings, check, fetch, count, log and draw.
ASIDE = {
    *("jsonschema", "pyyaml", "google-crc32c", "tqdm", "requests", "huggingface-hub"),
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
    found = flow._commit()
    assert re.fullmatch("[0-9a-f]{12}", found)
    (repository / "mettle" / "file").write_text("changed")
    assert flow._commit() == f"{found}-dirty"


def test_the_commit_of_a_repository_around_mettle_is_not_mettles(repository, monkeypatch):
    monkeypatch.setattr(files, "HOME", repository / "mettle")
    assert flow._commit() == "unknown"


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert flow._commit() == "unknown"


# Seeds


def test_derive_gives_pinned_seeds():
    assert flow.derive(0, "sample", "scenes") == 758336582390754459
    assert 0 <= flow.derive(0) < 2**63


def test_derive_depends_on_all_parts_and_their_order():
    parts = [(0, "a"), ("a", 0), (0, "b"), (1, "a"), (0, "a", ""), ("0", "a"), ("0a",), (0,)]
    assert len({flow.derive(*part) for part in parts}) == len(parts)


def test_derive_is_the_same_in_another_process():
    code = f"import sys; sys.path.insert(0, {str(Path(flow.__file__).parents[2])!r}); from mettle import flow; "
    command = [sys.executable, "-c", code + "print(flow.derive(5, 'x'))"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) == flow.derive(5, "x")


# Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now, strftime=lambda form: "12:00:00")
    monkeypatch.setattr(flow, "time", fake)
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


def test_progress_speaks_while_one_item_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "_MINUTE", 0.02)
    with flow.job(snakemake(tmp_path)) as job:
        for _ in job.progress(["slow"], "images"):
            until = time.monotonic() + 20
            while "the next for" not in (tmp_path / "logs" / "compare.log").read_text() and time.monotonic() < until:
                time.sleep(0.01)
    assert re.search(r"images: 1 of 1 done, the next for \d s", (tmp_path / "logs" / "compare.log").read_text())


def test_progress_that_is_left_early_speaks_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "_MINUTE", 0.01)
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
    assert locks._locked(Path(f"{folder}.lock")) is not None
