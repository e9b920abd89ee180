"""Small trainings for the tests of this folder: recipes, rows, jobs, and what comes out."""

import pandas as pd
import torch

from mettle import models, schema, tables
from mettle.data.store import Store
from mettle.models.checkpoint import Checkpoint
from mettle.stages.train import loop, train

SGD = {"name": "sgd", "lr": 0.05, "weight_decay": 5e-4}
ATTACK = {"norm": "l2", "eps": 0.5, "steps": 2, "random_start": True, "best": False}
ADVERSARIAL = {"loss": "adversarial", "attack": ATTACK, "augment": {"crop_padding": 2, "horizontal_flip": True}}


def recipe(**other):
    base = {"epochs": 2, "batch_size": 16, "optimizer": SGD, "schedule": {"name": "cosine"}}
    base["input"] = {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    return schema.check(base | other, "recipe", "here")


def row(seed=0, **other):
    found = {"model": f"resnet8-tiny-s{seed}", "dataset": "digits", "arch": "resnet8", "recipe": "tiny"}
    return found | {"threat": "none", "eps": 0.0, "seed": seed, "classes": 10, "source": "train"} | other


class Job:
    """Keeps what is said; does something before a given step, counted over the whole run."""

    def __init__(self, at=None, what=None, threads=1):
        self.seed, self.threads, self.provenance = 0, threads, {"rule": "train"}
        self.gpus, self.tasks, self.nodes, self.waited, self.needs_cuda = 0, 1, 1, False, False
        self.said, self.at, self.what, self.steps = [], at, what, 0

    def say(self, text):
        self.said.append(text)

    def progress(self, items, text, total=None):
        for item in items:
            if "epoch" in text:
                if self.steps == self.at:
                    self.what()
                self.steps += 1
            yield item


class Killed(Exception):
    """Stands for whatever ends a job."""


def killed():
    raise Killed


def outputs(folder):
    return folder / "weights.safetensors", folder / "epochs.parquet", folder / "resume"


def run(folder, stores, options, seed=0, job=None):
    job = job or Job()
    train(row(seed), options, *stores, *outputs(folder), job)
    return result(folder), job


def result(folder):
    weights, epochs, _ = outputs(folder)
    return models.load(weights)[0].state_dict(), tables.read(epochs, tables.EPOCHS)


def equal(first, second):
    decided = [frame.drop(columns="images_per_second") for frame in (first[1], second[1])]  # a seed decides no speed
    pd.testing.assert_frame_equal(*decided, check_exact=True)
    return differing(first[0], second[0]) == []


def differing(first, second):
    assert list(first) == list(second)
    return [key for key in first if not torch.equal(first[key], second[key])]


def training(stores, options, seed=0, job=None, **other):
    return loop.Training(row(seed, **other), options, *map(Store, stores), job or Job())


def one_epoch(made, folder):
    """Train for an epoch; its row."""
    made.one_epoch(Checkpoint(folder, made.fingerprint))
    return made.record.rows[-1]
