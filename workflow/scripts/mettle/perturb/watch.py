"""Who looks on while an attack runs: a `flow.Job`, or nobody."""

from collections.abc import Iterable
from typing import Protocol


class Watch(Protocol):
    """Is told what an attack has done, and counts its steps."""

    def say(self, text: str) -> None:
        """A sentence for the log."""

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        """The items, counted while they are gone through."""


class _Nobody:
    def say(self, text: str) -> None:
        pass

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        return items


NOBODY: Watch = _Nobody()
