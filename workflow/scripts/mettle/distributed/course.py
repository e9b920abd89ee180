"""The course of every training: its files, its order to each of its processes, and how it resumes and ends."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from mettle.distributed.group import ProcessGroup
from mettle.flow import Job
from mettle.models.checkpoint import Checkpoint

# Names of the table among the outputs of a rule.
_TABLES = ("epochs", "steps", "heads")


@dataclass(frozen=True)
class TrainingFiles:
    """Files of a training; each kind of training uses some of them.

    Attributes
    ----------
    train : store of the training images, with targets beside it for dense tasks
    weights : file to write, safetensors
    table : file to write, parquet: a row per epoch, update or head
    resume : folder for the state of an unfinished training; a killed job resumes from it, with the same result as if
        it had not been killed: random numbers depend on the seed and on how far the training is, not on when it ran
    test : store of held-out images
    base : weights to start from, or of the network that tokens or a head are for
    mixed : store of the recipe's `mix`
    attacked : attacked images of all updates, of `mettle.stages.tokens.shared`
    checkpoints : folder to make, with the weights of the recipe's `checkpoints` as epoch-000.safetensors
    logs : folder in which each run of the loggers has its own; None for that of `resume`
    """

    train: str | Path
    weights: str | Path
    table: str | Path
    resume: str | Path
    test: str | Path | None = None
    base: str | Path | None = None
    mixed: str | Path | None = None
    attacked: str | Path | None = None
    checkpoints: str | Path | None = None
    logs: str | Path | None = None

    @classmethod
    def of(cls, snakemake: Any) -> "TrainingFiles":
        """The files of a rule: inputs and outputs by these names, `resume` and `logs` among its params."""
        given = {key: _first(snakemake.input.get(key)) for key in ("train", "test", "base", "mixed", "attacked")}
        made, told = snakemake.output, snakemake.params
        table = next(made[key] for key in _TABLES if key in made.keys())  # noqa: SIM118 - not a dict
        given |= {"checkpoints": made.get("checkpoints"), "logs": told.get("logs") and Path(told.logs).parent}
        return cls(weights=made.weights, table=table, resume=told.resume, **given)

    @property
    def bases(self) -> list[str | Path]:
        """The weights of `base`, or nothing."""
        return [self.base] if self.base else []


def _first(files: str | Sequence[str] | None) -> str | None:
    return files if isinstance(files, str) else next(iter(files or ()), None)


class Training(Protocol):
    """What takes the course: a model, its optimiser and its progress.

    Attributes
    ----------
    fingerprint : of all that its result depends on
    at : how far it is, in words
    opening : lines of the log at its beginning
    """

    fingerprint: str
    at: str
    opening: list[str]

    def say(self, text: str) -> None:
        """One line in the log, from the first process."""

    def is_done(self, weights: str | Path) -> bool:
        """Whether a file is the result of exactly this training."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""

    def finish(self, checkpoint: Checkpoint) -> None:
        """All that remains, with its state in the checkpoint from time to time."""

    def write(self, files: TrainingFiles, checkpoint: Checkpoint) -> None:
        """Write the outputs, in the first process."""


def ordered(row: Any, recipe: Any, files: TrainingFiles, job: Job, options: dict[str, Any]) -> dict[str, Any]:
    """A training as plain data, as each of its processes gets it.

    Parameters
    ----------
    row, recipe : of what is trained
    files : of the training
    job : whether it had to wait for another process that was running the same job
    options : block `train` of the configuration
    """
    plain = {key: value and str(value) for key, value in asdict(files).items()}
    return {"row": row, "recipe": recipe, "files": plain, "waited": job.waited, "options": options}


def take(
    make: Callable[[TrainingFiles], Training],
    order: dict[str, Any],
    group: ProcessGroup,
    within: Callable[[Any, TrainingFiles], AbstractContextManager] = lambda training, files: nullcontext(),
) -> None:
    """Take a training from where it is to its end, in one process of a group.

    Parameters
    ----------
    make : the training at its start
    order : of `ordered`
    group : the processes
    within : of training and files, a context for all that remains
    """
    files = TrainingFiles(**order["files"])
    training = make(files)
    if order["waited"] and training.is_done(files.weights):
        training.say("another process has finished this training")
        return
    every = order["options"]["checkpoint_seconds"]
    with Checkpoint(files.resume, training.fingerprint, every, writes=group.first) as checkpoint:
        if state := checkpoint.load():
            training.restore(state)
            training.say(f"resuming from {training.at}")
        for line in training.opening:
            training.say(line)
        with within(training, files):
            training.finish(checkpoint)
    training.write(files, checkpoint)
    if group.first:
        checkpoint.remove()
