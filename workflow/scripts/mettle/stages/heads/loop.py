"""Training of heads of classification from a recipe: repeatable from its seed, resumable at any step."""

from mettle.data.store import Store
from mettle.distributed import ALONE, ProcessGroup, TrainingFiles, ordered, take
from mettle.flow import Job
from mettle.stages.heads.training import Training
from mettle.typed import HeadRecipe, ModelRow


def fit(row: ModelRow, recipe: HeadRecipe, files: TrainingFiles, job: Job, checkpoint_seconds: float = 300) -> None:
    """Train heads on the frozen network of a base, and write the best of them and a table of all.

    Parameters
    ----------
    row : row of the head: model, dataset, classes, base, recipe, threat, eps, seed
    recipe : recipe of kind head with defaults filled in
    files : train, base, weights, table, resume
    job : threads, log, provenance
    checkpoint_seconds : between two writes of the state

    Raises
    ------
    ValueError
        If the network of the base has no class token or fewer blocks than asked for, labels do not fit the classes, or
        a loss is not finite.
    """
    order = ordered(row, recipe, files, job, ALONE | {"checkpoint_seconds": checkpoint_seconds})
    take(lambda files: Training(row, recipe, Store(files.train), files.base, job), order, ProcessGroup())
