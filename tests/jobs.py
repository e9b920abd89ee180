"""Trainings in tests: a job that is watched or ended at a given step, and the files of a training in a folder."""

from mettle.distributed import TrainingFiles


class Job:
    """Keeps what is said; does something before a given step, counted over the whole run.

    Parameters
    ----------
    at : step before which something is done; None for never
    what : that is done
    threads : of the job
    """

    rule = "train"
    counted = "epoch"  # part of the text of the loops whose steps count

    def __init__(self, at=None, what=None, threads=1):
        self.seed, self.threads, self.provenance = 0, threads, {"rule": self.rule, "revision": 1}
        self.gpus, self.tasks, self.nodes, self.waited, self.needs_cuda = 0, 1, 1, False, False
        self.said, self.at, self.what, self.steps = [], at, what, 0

    def say(self, text):
        self.said.append(text)

    def progress(self, items, text, total=None):
        for item in items:
            if self.counted in text:
                if self.steps == self.at:
                    self.what()
                self.steps += 1
            yield item


class Killed(Exception):
    """Stands for whatever ends a job."""


def killed():
    raise Killed


def training_files(folder, train, test=None, table="epochs", **other):
    """Files of a training whose outputs are in a folder."""
    made = folder / "weights.safetensors", folder / f"{table}.parquet", folder / "resume"
    return TrainingFiles(train, *made, test=test, **other)
