"""Training of dense tasks from a recipe: repeatable from its seed, resumable at any step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, run
from mettle.flow import Job
from mettle.models import optim
from mettle.models.checkpoint import Checkpoint
from mettle.models.own import digested
from mettle.stages.transfer.training import Training
from mettle.typed import ModelRow, Recipe

Files = Sequence[str | Path]


def transfer(
    row: ModelRow,
    recipe: Recipe,
    train_images: str | Path,
    test_images: str | Path,
    weights: str | Path,
    epochs: str | Path,
    resume: str | Path,
    job: Job,
    *,
    base: Files = (),
    fabric: dict[str, Any] | None = None,
) -> None:
    """Train a model of a dense task and write its weights and its table of epochs.

    Parameters
    ----------
    row : row of the model with cells of its data set: `classes`, `map_classes`, `ignore`
    recipe : recipe with defaults filled in
    train_images, test_images : stores, with targets beside them
    weights, epochs : files to write, safetensors and parquet
    resume : folder for the state of an unfinished training; a killed job resumes from it, with the same result as if
        it had not been killed: random numbers depend only on (seed, epoch, step)
    job : seed, threads, log, provenance
    base : weights to start from
    fabric : the block `train` of the configuration, of which processes and the time between two writes of the state
        count here

    Raises
    ------
    ValueError
        If recipe, images and base do not fit each other, or the loss is not finite.
    """
    order = {
        "row": digested(row),
        "recipe": recipe,
        "train": str(train_images),
        "test": str(test_images),
        "base": [str(path) for path in base],
        "weights": str(weights),
        "epochs": str(epochs),
        "resume": str(resume),
        "waited": job.waited,
        "options": ALONE | (fabric or {}) | {"strategy": "ddp"},
    }
    run(work, order, job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `transfer` writes it."""
    recipe, stores = order["recipe"], (Store(order["train"]), Store(order["test"]))
    training = Training(order["row"], recipe, *stores, job, order["base"], group)
    if order["waited"] and training.is_done(order["weights"]):
        training.say("the other process has made these weights")
        return
    every = order["options"]["checkpoint_seconds"]
    with Checkpoint(order["resume"], training.fingerprint, every, writes=group.first) as checkpoint:
        if state := checkpoint.load():
            training.restore(state)
            training.say(f"resuming from epoch {training.epoch}, step {training.step}")
        training.say(training.policy.sentence(len(training.train), recipe["batch_size"]))
        training.say(optim.sentence(recipe, group.size))
        while not training.finished:
            training.one_epoch(checkpoint)
    if group.first:
        training.write(Path(order["weights"]), order["epochs"])
        checkpoint.remove()
