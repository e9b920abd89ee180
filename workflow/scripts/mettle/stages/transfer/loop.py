"""Training of dense tasks from a recipe: repeatable from its seed, resumable at any step."""

from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, TrainingFiles, ordered, run, take
from mettle.flow import Job
from mettle.models.own import digested
from mettle.stages.transfer.training import Training
from mettle.typed import ModelRow, Recipe


def transfer(
    row: ModelRow, recipe: Recipe, files: TrainingFiles, job: Job, fabric: dict[str, Any] | None = None
) -> None:
    """Train a model of a dense task and write its weights and its table of epochs.

    Parameters
    ----------
    row : row of the model with cells of its data set: `classes`, `map_classes`, `ignore`
    recipe : recipe with defaults filled in
    files : train, test, weights, table, resume, and base if it starts from one
    job : seed, threads, log, provenance
    fabric : the block `train` of the configuration, of which processes and the time between two writes of the state
        count here

    Raises
    ------
    ValueError
        If recipe, images and base do not fit each other, or the loss is not finite.
    """
    options = ALONE | (fabric or {}) | {"strategy": "ddp"}
    run(work, ordered(digested(row), recipe, files, job, options), job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `transfer` writes it."""

    def make(files: TrainingFiles) -> Training:
        stores = Store(files.train), Store(files.test)
        return Training(order["row"], order["recipe"], *stores, job, files.bases, group)

    take(make, order, group)
