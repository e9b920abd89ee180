"""Training of dense tasks from a recipe: repeatable from its seed, resumable at any step."""

from collections.abc import Sequence
from pathlib import Path

from mettle.data.store import Store
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
    checkpoint_seconds: float = 300,
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
    checkpoint_seconds : between two writes of the state

    Raises
    ------
    ValueError
        If recipe, images and base do not fit each other, or the loss is not finite.
    """
    run = Training(digested(row), recipe, Store(train_images), Store(test_images), job, base)
    if job.waited and run.is_done(weights):
        job.say("the other process has made these weights")
        return
    with Checkpoint(resume, run.fingerprint, checkpoint_seconds) as checkpoint:
        if state := checkpoint.load():
            run.restore(state)
            job.say(f"resuming from epoch {run.epoch}, step {run.step}")
        job.say(run.policy.sentence(len(run.train), recipe["batch_size"]))
        job.say(optim.sentence(recipe, 1))
        while not run.finished:
            run.one_epoch(checkpoint)
    run.write(Path(weights), epochs)
    checkpoint.remove()
