"""Small trainings of robustness tokens: recipes, rows, jobs, and what comes out."""

import jobs
from jobs import training_files
from mettle import models, schema, tables
from mettle.stages.tokens.loop import harden

STRONG = 64 / 255  # moves features of a network that has seen few images
RECIPE = {
    "kind": "tokens",
    "n": 4,
    "steps": 6,
    "batch_size": 8,
    "optimizer": {"lr": 0.05},
    "attack": {"norm": "linf", "eps": "8/255", "steps": 3},
}


def recipe(**other):
    return schema.check(RECIPE | other, "tokens", "here")


def row(model="hard", **other):
    found = {"model": model, "base": "plain", "recipe": "few", "threat": "linf", "eps": 8 / 255, "seed": 0}
    return found | other


class Job(jobs.Job):
    rule, counted = "tokens", ""


def train(store, base, folder, job=None, told=None, fabric=(), shared=None, **other):
    """The tokens and the table of a training."""
    files = training_files(base.parents[1] / folder, store, table="steps", base=base, attacked=shared)
    fabric = {"checkpoint_seconds": 0} | dict(fabric)
    harden(told or row(), recipe(**other), files, job or Job(), fabric)
    return result(files.weights)


def result(weights):
    """The tokens and the table beside them."""
    state, _ = models.weights.read(weights)
    return state["tokens"], tables.read(weights.parent / "steps.parquet", tables.TOKENS_STEPS)
