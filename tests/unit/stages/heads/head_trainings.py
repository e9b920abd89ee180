"""Small trainings of heads: a store, a base, recipes, jobs, and what comes out."""

from mettle import models, schema, tables
from mettle.stages.heads import fit

RECIPE = {"kind": "head", "lr": [0.5], "steps": 20, "batch_size": 16}


def recipe(**other):
    return schema.check(RECIPE | other, "head", "here")


def row(**other):
    found = {"model": "mine", "dataset": "digits", "classes": 10, "base": "plain", "recipe": "few"}
    return found | {"threat": "none", "eps": 0.0, "seed": 0} | other


class Job:
    """Keeps what is said; does something before a given update."""

    def __init__(self, at=None, what=None):
        self.seed, self.threads, self.provenance = 0, 1, {"rule": "head", "revision": 1}
        self.waited, self.needs_cuda = False, False
        self.said, self.at, self.what, self.steps = [], at, what, 0

    def say(self, text):
        self.said.append(text)

    def progress(self, items, text, total=None):
        for item in items:
            if "heads" in text:
                if self.steps == self.at:
                    self.what()
                self.steps += 1
            yield item


def train(store, base, folder, job=None, told=None, **other):
    """State, metadata and table of heads."""
    weights = base.parents[1] / folder / "weights.safetensors"
    weights.parent.mkdir(exist_ok=True)
    places = weights, weights.parent / "heads.parquet", weights.parent / "resume"
    fit(told or row(), recipe(**other), store, base, *places, job or Job(), checkpoint_seconds=0)
    return *models.weights.read(weights), tables.read(places[1], tables.HEADS)
