"""Small trainings of robustness tokens: recipes, rows, jobs, and what comes out."""

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


class Job:
    """Keeps what is said; does something before a given update."""

    def __init__(self, at=None, what=None):
        self.seed, self.threads, self.provenance = 0, 1, {"rule": "tokens", "revision": 1}
        self.waited, self.needs_cuda, self.tasks, self.gpus = False, False, 1, 0
        self.said, self.at, self.what, self.steps = [], at, what, 0

    def say(self, text):
        self.said.append(text)

    def progress(self, items, text, total=None):
        for item in items:
            if self.steps == self.at:
                self.what()
            self.steps += 1
            yield item


def train(store, base, folder, job=None, told=None, fabric=(), shared=None, **other):
    """The tokens and the table of a training."""
    told = told or row()
    weights = base.parents[1] / folder / "weights.safetensors"
    weights.parent.mkdir(exist_ok=True)
    places = weights, weights.parent / "steps.parquet", weights.parent / "resume"
    fabric = {"checkpoint_seconds": 0} | dict(fabric)
    harden(told, recipe(**other), store, base, *places, job or Job(), shared=shared, fabric=fabric)
    return result(weights)


def result(weights):
    """The tokens and the table beside them."""
    state, _ = models.weights.read(weights)
    return state["tokens"], tables.read(weights.parent / "steps.parquet", tables.TOKENS_STEPS)
