"""Training from a recipe: standard and adversarial, repeatable from its seed, resumable at any step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, run
from mettle.flow import Job
from mettle.models import optim
from mettle.models.checkpoint import Checkpoint
from mettle.models.own import digested
from mettle.stages.train.training import Training, about
from mettle.typed import ModelRow, Recipe

__all__ = ["Training", "about", "train", "work"]

Files = Sequence[str | Path]
_QUIET = {"loggers": [], "run": "{model}", "images": 0}


def train(
    row: ModelRow,
    recipe: Recipe,
    train_images: str | Path,
    test_images: str | Path,
    weights: str | Path,
    epochs: str | Path,
    resume: str | Path,
    job: Job,
    *,
    checkpoints: str | Path | None = None,
    mixed: Files = (),
    base: Files = (),
    fabric: dict[str, Any] | None = None,
    logs: str | Path | None = None,
) -> None:
    """Train a model and write its weights and its table of epochs.

    Parameters
    ----------
    row : row of the model, with `classes`; `code` and `loss_code` are files of the user's that make its architecture
        and its loss, if there are any
    recipe : recipe with defaults filled in
    train_images, test_images : stores
    weights, epochs : files to write, safetensors and parquet
    resume : folder for the state of an unfinished training; a killed job resumes from it, with the same result as if
        it had not been killed: random numbers depend only on (seed, epoch, step)
    job : seed, threads, log, provenance
    checkpoints : folder to make, with the weights of the recipe's `checkpoints` as epoch-000.safetensors
    mixed : store of the recipe's `mix`, and files beside it
    base : weights to start from
    fabric : the block `train` of the configuration: processes and loggers; by default one process and no loggers
    logs : folder in which each run of the loggers has its own

    Raises
    ------
    ValueError
        If the recipe does not fit the images or selects by what is never measured, or if the loss is not finite.
    """
    order = {
        "row": digested(row),
        "recipe": recipe,
        "train": str(train_images),
        "test": str(test_images),
        "mixed": [str(path) for path in mixed][:1],
        "base": [str(path) for path in base],
        "weights": str(weights),
        "epochs": str(epochs),
        "checkpoints": str(checkpoints) if checkpoints else None,
        "resume": str(resume),
        "waited": job.waited,
        "logs": str(logs or Path(resume).parent),
        "options": _QUIET | ALONE | (fabric or {}),
    }
    run(work, order, job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `train` writes it."""
    mixed = Store(order["mixed"][0]) if order["mixed"] else None
    stores = Store(order["train"]), Store(order["test"])
    training = Training(order["row"], order["recipe"], *stores, job, mixed, order["base"], group)
    if order["waited"] and training.is_done(order["weights"]):
        training.say("the other process has made these weights")
        return
    every = order["options"]["checkpoint_seconds"]
    with Checkpoint(order["resume"], training.fingerprint, every, writes=group.first) as checkpoint:
        if state := checkpoint.load():
            training.restore(state)
            training.say(f"resuming from epoch {training.epoch}, step {training.step}")
        training.say(training.policy.sentence(sum(map(len, training.images.order(0))), order["recipe"]["batch_size"]))
        training.say(optim.sentence(order["recipe"], group.size))
        with training.logged(Path(order["logs"]), order["options"]):
            while training.epoch < training.epochs:
                training.one_epoch(checkpoint)
    folder = order["checkpoints"] and Path(order["checkpoints"])
    training.write(Path(order["weights"]), order["epochs"], folder, checkpoint)
