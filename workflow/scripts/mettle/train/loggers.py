"""Loggers of training beside the table of epochs, when the configuration asks for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mettle.schema import suggest


class Logger(Protocol):
    """Where scalars go."""

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""

    def close(self) -> None:
        """Write what is still in memory."""


class TensorBoard:
    """Event files in a folder; after a new start, what they hold from `epoch` on is replaced."""

    def __init__(self, folder: Path, model: str, about: dict[str, Any], options: dict[str, Any], epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=epoch)

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def close(self) -> None:
        """Write what is still in memory."""
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, by default offline; `wandb sync` uploads its folder. A new start goes on with it."""

    def __init__(self, folder: Path, model: str, about: dict[str, Any], options: dict[str, Any], epoch: int) -> None:
        import wandb

        own = options["wandb"]
        self.run = wandb.init(
            project=own["project"],
            mode=own["mode"],
            dir=str(folder),
            name=model,
            id=model,
            config=about,
            resume="allow",
        )

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""
        self.run.log(scalars, step=epoch)

    def close(self) -> None:
        """Write what is still in memory."""
        self.run.finish()


LOGGERS: dict[str, Callable[..., Logger]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def start(folder: Path, model: str, about: dict[str, Any], options: dict[str, Any], epoch: int) -> list[Logger]:
    """The loggers that the configuration names.

    Parameters
    ----------
    folder : where they write
    model : name of the model
    about : what describes the run, plain data
    options : the block `train` of the configuration
    epoch : epoch that training goes on from

    Raises
    ------
    ValueError
        If there is none of a name.
    """
    for name in options["loggers"]:
        if name not in LOGGERS:
            raise ValueError(f"configuration: train.loggers: unknown logger '{name}'{suggest(name, LOGGERS)}")
    if options["loggers"]:
        folder.mkdir(parents=True, exist_ok=True)
    return [LOGGERS[name](folder, model, about, options, epoch) for name in options["loggers"]]
