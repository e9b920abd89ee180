"""Small trainings of heads: a store, a base, recipes, jobs, and what comes out."""

import jobs
from jobs import training_files
from mettle import models, schema, tables
from mettle.stages.heads import fit

RECIPE = {"kind": "head", "lr": [0.5], "steps": 20, "batch_size": 16}


def recipe(**other):
    return schema.check(RECIPE | other, "head", "here")


def row(**other):
    found = {"model": "mine", "dataset": "digits", "classes": 10, "base": "plain", "recipe": "few"}
    return found | {"threat": "none", "eps": 0.0, "seed": 0} | other


class Job(jobs.Job):
    rule, counted = "head", "heads"


def train(store, base, folder, job=None, told=None, **other):
    """State, metadata and table of heads."""
    files = training_files(base.parents[1] / folder, store, table="heads", base=base)
    fit(told or row(), recipe(**other), files, job or Job(), checkpoint_seconds=0)
    return *models.weights.read(files.weights), tables.read(files.table, tables.HEADS)
