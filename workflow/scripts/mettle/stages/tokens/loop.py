"""Training of robustness tokens from a recipe: repeatable from its seed, resumable at any step."""

from pathlib import Path
from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, run
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
    shared: str | Path | None = None,
    fabric: dict[str, Any] | None = None,
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
    shared : attacked images of all updates, of `mettle.stages.tokens.shared`; None to make them
    fabric : the block `train` of the configuration, of which processes and the time between two writes of the state
        count here

    Raises
    ------
    ValueError
        If the network of the base takes no tokens, or features are not finite.
    """
    order = {
        "row": row,
        "recipe": recipe,
        "images": str(images),
        "base": str(base),
        "weights": str(weights),
        "steps": str(steps),
        "resume": str(resume),
        "shared": shared and str(shared),
        "waited": job.waited,
        "options": ALONE | (fabric or {}) | {"strategy": "ddp"},
    }
    run(work, order, job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `harden` writes it."""
    images, shared = Store(order["images"]), order["shared"]
    training = Training(order["row"], order["recipe"], images, order["base"], job, group, shared)
    if order["waited"] and training.is_done(order["weights"]):
        training.say("the other process has made these tokens")
        return
    every = order["options"]["checkpoint_seconds"]
    with Checkpoint(order["resume"], training.fingerprint, every, writes=group.first) as checkpoint:
        if state := checkpoint.load():
            training.restore(state)
            training.say(f"resuming from step {training.step}")
        training.say(training.policy.sentence(len(training.images), order["recipe"]["batch_size"]))
        training.finish(checkpoint)
    if group.first:
        training.write(Path(order["weights"]), order["steps"])
        checkpoint.remove()
