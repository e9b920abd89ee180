"""Training of robustness tokens from a recipe: repeatable from its seed, resumable at any step."""

from typing import Any

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, TrainingFiles, ordered, run, take
from mettle.flow import Job
from mettle.stages.tokens.training import Training
from mettle.typed import ModelRow, TokensRecipe


def harden(
    row: ModelRow, recipe: TokensRecipe, files: TrainingFiles, job: Job, fabric: dict[str, Any] | None = None
) -> None:
    """Train robustness tokens and write them, and the table of their updates.

    Parameters
    ----------
    row : row of the tokens: model, base, recipe, threat, eps, seed
    recipe : recipe of kind tokens with defaults filled in
    files : train, base, weights, table, resume, and attacked if its images are shared; labels are not used
    job : threads, log, provenance
    fabric : the block `train` of the configuration, of which processes and the time between two writes of the state
        count here

    Raises
    ------
    ValueError
        If the network of the base takes no tokens, shared images are of another training, or features are not finite.
    """
    run(work, ordered(row, recipe, files, job, ALONE | (fabric or {}) | {"strategy": "ddp"}), job)


def work(group: ProcessGroup, order: dict[str, Any], job: Job) -> None:
    """The work of one process of a group in a training; `order` is plain data, as `harden` writes it."""

    def make(files: TrainingFiles) -> Training:
        return Training(order["row"], order["recipe"], Store(files.train), files.base, job, group, files.attacked)

    take(make, order, group)
