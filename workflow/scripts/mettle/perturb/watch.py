"""Observers of a running attack: a `flow.Job`, or nobody."""

from collections.abc import Iterable
from typing import Protocol


class Watch(Protocol):
    """Observes an attack: gets sentences for the log, and counts steps."""

    def say(self, text: str) -> None:
        """A sentence for the log."""

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        """The items, counted during iteration."""


class _Nobody:
    def say(self, text: str) -> None:
        pass

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        return items


NOBODY: Watch = _Nobody()
