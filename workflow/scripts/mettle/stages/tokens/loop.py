"""Training of robustness tokens from a recipe: repeatable from its seed, resumable at any step."""

from pathlib import Path

from mettle.data.store import Store
from mettle.flow import Job
from mettle.models.checkpoint import Checkpoint
from mettle.stages.tokens.training import Training
from mettle.typed import ModelRow, TokensRecipe


def harden(
    row: ModelRow,
    recipe: TokensRecipe,
    images: str | Path,
    base: str | Path,
    weights: str | Path,
    steps: str | Path,
    resume: str | Path,
    job: Job,
    *,
    checkpoint_seconds: float = 300,
) -> None:
    """Train robustness tokens and write them, and the table of their training.

    Parameters
    ----------
    row : row of the tokens: model, base, recipe, threat, eps, seed
    recipe : recipe of kind tokens with defaults filled in
    images : store of the training images; labels are not used
    base : weights of the network that the tokens are for
    weights, steps : files to write, safetensors and parquet
    resume : folder for the state of an unfinished training; a killed job resumes from it, with the same result as if
        it had not been killed: random numbers depend only on (seed, step, image)
    job : threads, log, provenance
    checkpoint_seconds : between two writes of the state

    Raises
    ------
    ValueError
        If the network of the base takes no tokens, or features are not finite.
    """
    run = Training(row, recipe, Store(images), base, job)
    if job.waited and run.is_done(weights):
        job.say("the other process has made these tokens")
        return
    with Checkpoint(resume, run.fingerprint, checkpoint_seconds) as checkpoint:
        if state := checkpoint.load():
            run.restore(state)
            job.say(f"resuming from step {run.step}")
        job.say(run.policy.sentence(len(run.images), recipe["batch_size"]))
        run.finish(checkpoint)
    run.write(Path(weights), steps)
    checkpoint.remove()
