"""The course of a training: files of a rule by their names, and what each process is told."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs import Job, training_files
from mettle.distributed import ALONE, ProcessGroup, TrainingFiles, ordered, take


class Named(dict):
    """Inputs, outputs or params of a rule, which Snakemake lets one read as attributes and by name."""

    __getattr__ = dict.__getitem__


def rule(base, **made):
    given = Named(train=["train.lmdb"], test=["test.lmdb"], base=base)
    params = Named(resume="r", logs="logs/train/mine")
    return SimpleNamespace(input=given, output=Named(weights="w.safetensors", **made), params=params)


@pytest.mark.parametrize(("base", "expected"), [("b", "b"), (["b"], "b"), ([], None)])
def test_files_of_a_rule_are_found_by_their_names(base, expected):
    found = TrainingFiles.of(rule(base, steps="s.parquet"))
    assert (found.train, found.test, found.base, found.mixed) == ("train.lmdb", "test.lmdb", expected, None)
    assert (found.weights, found.table, found.resume, found.logs) == (
        "w.safetensors",
        "s.parquet",
        "r",
        Path("logs/train"),
    )
    assert found.bases == ([expected] if expected else []) and found.checkpoints is None
    assert TrainingFiles.of(rule(base, epochs="e.parquet", checkpoints="c")).checkpoints == "c"


class Counting:
    """A training of four steps, which writes how many it made."""

    fingerprint, opening = "f", ["begins"]

    def __init__(self, job):
        self.job, self.step = job, 0

    @property
    def at(self):
        return f"step {self.step}"

    def say(self, text):
        self.job.say(text)

    def is_done(self, weights):
        return Path(weights).exists()

    def restore(self, state):
        self.step = state["step"]

    def finish(self, checkpoint):
        for _ in self.job.progress(range(4 - self.step), "epoch"):
            self.step += 1
            checkpoint.keep(lambda: {"step": self.step})

    def write(self, files, checkpoint):
        Path(files.weights).write_text(str(self.step))


def course(folder, job):
    files = training_files(folder, "train.lmdb")
    order = ordered({"model": "a"}, {"n": 1}, files, job, ALONE | {"checkpoint_seconds": 0})
    assert json.loads(json.dumps(order)) == order, "plain data, since tasks of Slurm read it from a file"
    take(lambda files: Counting(job), order, ProcessGroup())
    return Path(files.weights).read_text()


def test_a_training_that_is_stopped_goes_on_where_it_was_and_one_that_another_process_finished_does_not(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        course(tmp_path, Job(at=2, what=stop))
    job = Job()
    assert course(tmp_path, job) == "4"
    assert (job.said, job.steps) == (["resuming from step 2", "begins"], 2)
    assert not (tmp_path / "resume").exists()
    waited = Job()
    waited.waited = True
    course(tmp_path, waited)
    assert (waited.said, waited.steps) == (["another process has finished this training"], 0)
