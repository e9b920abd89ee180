"""State of unfinished work, so that a killed job resumes where it was."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from mettle.files import atomic

STOPPED = "stopped by a signal: the state is saved, and the next attempt resumes from it"


class Checkpoint:
    """One file in a folder that the workflow does not declare, written on a timer and when a signal ends the job.

    Snakemake deletes the declared outputs of a failed job, so this folder is not one of them.

    Parameters
    ----------
    folder : of the file; removed once the work is done
    fingerprint : what must be equal for the state to be used, such as recipe, data, seed
    every : seconds between writes
    writes : whether this process writes; the others only keep the time
    """

    def __init__(self, folder: str | Path, fingerprint: str, every: float = 300, writes: bool = True) -> None:
        self.folder, self.fingerprint, self.every, self.writes = Path(folder), fingerprint, every, writes
        self.path = self.folder / "last.pt"
        self.asked_to_end = False
        self._written = time.monotonic()
        self._previous: Any = None

    def __enter__(self) -> "Checkpoint":
        self._previous = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def load(self) -> dict[str, Any] | None:
        """The state to resume from; None if there is none of exactly this work.

        Raises
        ------
        ValueError
            If the file is damaged, or holds anything but tensors and plain values; nothing in it is run.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged pickles raise many kinds of errors
            raise ValueError(f"{self.path} is not a training checkpoint; delete it to start over") from error
        return state if state["fingerprint"] == self.fingerprint else None

    def due(self) -> bool:
        """Whether it is time to write."""
        return self.asked_to_end or time.monotonic() - self._written >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Write the state atomically."""
        if self.writes:
            with atomic(self.path) as tmp:
                torch.save(state | {"fingerprint": self.fingerprint}, tmp)
        self._written = time.monotonic()

    def keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state if it is time, and end the job if it was asked to end."""
        if self.due():
            self.save(state())
            self.end_if_asked()

    def end_if_asked(self) -> None:
        """End the job if it was asked to end."""
        if self.asked_to_end:
            raise SystemExit(STOPPED)

    def remove(self) -> None:
        """Remove the state once the work is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, signum: int, frame: Any) -> None:
        self.asked_to_end = True
