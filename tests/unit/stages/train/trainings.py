"""Small trainings for the tests of this folder: recipes, rows, jobs, and what comes out."""

import pandas as pd
import torch

from jobs import Job, training_files
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


def files(stores, folder, **other):
    return training_files(folder, *stores, **other)


def run(folder, stores, options, seed=0, job=None):
    job = job or Job()
    train(row(seed), options, files(stores, folder), job)
    return result(folder), job


def result(folder):
    weights, epochs = folder / "weights.safetensors", folder / "epochs.parquet"
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
