"""Training from a recipe: standard and adversarial, repeatable from its seed, resumable at any step."""

from pathlib import Path
from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, TrainingFiles, ordered, run, take
from mettle.flow import Job
from mettle.models.own import digested
from mettle.stages.train.training import Training, about
from mettle.typed import ModelRow, Recipe

__all__ = ["Training", "about", "train", "work"]

_QUIET = {"loggers": [], "run": "{model}", "images": 0}


def train(row: ModelRow, recipe: Recipe, files: TrainingFiles, job: Job, fabric: dict[str, Any] | None = None) -> None:
    """Train a model and write its weights and its table of epochs.

    Parameters
    ----------
    row : row of the model, with `classes`; `code` and `loss_code` are files of the user's that make its architecture
        and its loss, if there are any
    recipe : recipe with defaults filled in
    files : train, test, weights, table, resume; base, mixed, checkpoints and logs if there are any
    job : seed, threads, log, provenance
    fabric : the block `train` of the configuration: processes and loggers; by default one process and no loggers

    Raises
    ------
    ValueError
        If the recipe does not fit the images or selects by what is never measured, or if the loss is not finite.
    """
    run(work, ordered(digested(row), recipe, files, job, _QUIET | ALONE | (fabric or {})), job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `train` writes it."""

    def make(files: TrainingFiles) -> Training:
        mixed = Store(files.mixed) if files.mixed else None
        stores = Store(files.train), Store(files.test)
        return Training(order["row"], order["recipe"], *stores, job, mixed, files.bases, group)

    take(
        make,
        order,
        group,
        lambda training, files: training.logged(Path(files.logs or Path(files.resume).parent), order["options"]),
    )
