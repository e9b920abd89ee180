"""Loggers beside the tables, if the configuration asks for them: everything about a model goes to one run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mettle.flow import locks
from mettle.plan import names
from mettle.schema import check_registry, suggest


@dataclass(frozen=True)
class Run:
    """A run as loggers know it.

    Attributes
    ----------
    name : what the configuration's `train.run` gives for the model's row; also the name of its folder
    id : one for each training of a model; the same after a restart, and for later results of its weights
    about : its description, plain data
    epoch : epoch from which a training resumes; None for results of finished weights
    """

    name: str
    id: str
    about: dict[str, Any]
    epoch: int | None = None


class Logger(Protocol):
    """Takes scalars and images."""

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""

    def show(self, pictures: dict[str, np.ndarray], epoch: int) -> None:
        """Add the pictures of an epoch, uint8 (h, w, 3)."""

    def judge(self, scalars: dict[str, float], epoch: int) -> None:
        """Add what was measured on the weights of an epoch after the training."""

    def close(self) -> None:
        """Write everything that is still in memory."""


class TensorBoard:
    """Event files in a folder; after a restart, their contents from `epoch` on are replaced."""

    def __init__(self, folder: Path, run: Run, options: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=run.epoch)

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def show(self, pictures: dict[str, np.ndarray], epoch: int) -> None:
        """Add the pictures of an epoch."""
        for name, picture in pictures.items():
            self.writer.add_image(name, picture, epoch, dataformats="HWC")
        self.writer.flush()

    judge = write

    def close(self) -> None:
        """Write everything that is still in memory."""
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, by default offline; `wandb sync` uploads its folder. A restart resumes it.

    What is measured after the training goes to the summary of the run, since its history only grows forwards.
    """

    def __init__(self, folder: Path, run: Run, options: dict[str, Any]) -> None:
        import wandb

        own = options["wandb"]
        names = {"project": own["project"], "name": run.name, "id": run.id}
        self.run = wandb.init(**names, mode=own["mode"], dir=str(folder), config=run.about, resume="allow")

    def write(self, scalars: dict[str, float], epoch: int) -> None:
        """Add the scalars of an epoch."""
        self.run.log(scalars, step=epoch)

    def show(self, pictures: dict[str, np.ndarray], epoch: int) -> None:
        """Add the pictures of an epoch."""
        from wandb import Image

        self.run.log({name: Image(picture) for name, picture in pictures.items()}, step=epoch)

    def judge(self, scalars: dict[str, float], epoch: int) -> None:
        """Add what was measured on the weights of an epoch after the training."""
        self.run.summary.update(scalars)

    def close(self) -> None:
        """Write everything that is still in memory."""
        self.run.finish()


LOGGERS: dict[str, Callable[..., Logger]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
check_registry("config.train.loggers", LOGGERS)


def run_of(about: dict[str, Any], options: dict[str, Any], epoch: int | None = None, **more: Any) -> Run:
    """The run of a model.

    Parameters
    ----------
    about : metadata of its weights: cells of its row, and `training`, the fingerprint of its training; of weights that
        were converted, `sha256`
    options : the block `train` of the configuration
    epoch : as in `Run`
    more : further description
    """
    made = about.get("training") or about["sha256"]
    told = epoch is None and "training" in about  # the training has described the run
    shown = {} if told else {key: value for key, value in (about | more).items() if key != "provenance"}
    return Run(names.run(options["run"], about), f"{about['model']}-{made[:8]}", shown, epoch)


@contextmanager
def open_all(parent: Path, run: Run, options: dict[str, Any]) -> Iterator[list[Logger]]:
    """The loggers that the configuration names, closed at the end in any case.

    Parameters
    ----------
    parent : folder of the folders of all runs
    run : the run
    options : the block `train` of the configuration

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    folder = parent / run.name
    for name in options["loggers"]:
        if name not in LOGGERS:
            raise ValueError(f"configuration: train.loggers: unknown logger '{name}'{suggest(name, LOGGERS)}")
    with ExitStack() as stack:
        found = []
        for name in options["loggers"]:
            folder.mkdir(parents=True, exist_ok=True)
            found.append(LOGGERS[name](folder, run, options))
            stack.callback(found[-1].close)
        yield found


def judge(
    parent: Path, about: dict[str, Any], scalars: dict[str, float], options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Send what was measured on finished weights to the run of their training.

    A failure is logged and raises nothing: the results are in their table already.

    Parameters
    ----------
    parent : folder of the folders of all runs
    about : metadata of the weights
    scalars : what was measured
    options : the block `train` of the configuration
    say : writes a line of the log
    """
    if not options["loggers"]:
        return
    run = run_of(about, options)
    try:
        with locks.alone(parent / f".{run.name}.lock", say), open_all(parent, run, options) as found:
            for logger in found:
                logger.judge(scalars, about.get("epoch", 0))
        say(f"sent to run {run.id} of {', '.join(options['loggers'])}")
    except Exception as error:  # of the network, or of a package that is missing: any kind
        say(f"not sent to {', '.join(options['loggers'])}: {type(error).__name__}: {error}")
