"""Training of heads of classification from a recipe: repeatable from its seed, resumable at any step."""

from pathlib import Path

from mettle.data.store import Store
from mettle.flow import Job
from mettle.models.checkpoint import Checkpoint
from mettle.stages.heads.training import Training
from mettle.typed import HeadRecipe, ModelRow


def fit(
    row: ModelRow,
    recipe: HeadRecipe,
    images: str | Path,
    base: str | Path,
    weights: str | Path,
    heads: str | Path,
    resume: str | Path,
    job: Job,
    *,
    checkpoint_seconds: float = 300,
) -> None:
    """Train heads on the frozen network of a base, and write the best of them and a table of all.

    Parameters
    ----------
    row : row of the head: model, dataset, classes, base, recipe, threat, eps, seed
    recipe : recipe of kind head with defaults filled in
    images : store of the training images
    base : weights of the network, whose metadata say how images reach it
    weights, heads : files to write, safetensors and parquet
    resume : folder for the state of an unfinished training; a killed job resumes from it, with the same result as if
        it had not been killed: random numbers depend only on (seed, step, image)
    job : threads, log, provenance
    checkpoint_seconds : between two writes of the state

    Raises
    ------
    ValueError
        If the network of the base has no class token or fewer blocks than asked for, labels do not fit the classes, or
        a loss is not finite.
    """
    run = Training(row, recipe, Store(images), base, job)
    if job.waited and run.is_done(weights):
        job.say("the other process has made this head")
        return
    with Checkpoint(resume, run.fingerprint, checkpoint_seconds) as checkpoint:
        if state := checkpoint.load():
            run.restore(state)
            job.say(f"resuming from step {run.step}")
        job.say(run.policy.sentence(len(run.source.kept), recipe["batch_size"]))
        run.finish(checkpoint)
    run.write(Path(weights), heads)
    checkpoint.remove()
