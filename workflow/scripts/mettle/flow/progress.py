"""Progress of a running job: lines in its log, at least one a minute, and bars on a terminal."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

MINUTE = 60.0  # seconds between two lines of a log at most


@dataclass
class Level:
    """One loop of a job: its name, the number of items, and how many are done."""

    text: str
    total: int | None
    done: int = 0
    told: bool = False
    started: float = field(default_factory=lambda: time.monotonic())

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.started

    def __str__(self) -> str:
        pace = f"{self.seconds / self.done:.3g} s each" if self.done else f"{self.seconds:.0f} s so far"
        return f"{self.text}: {self.done} of {self.total or '?'}, {pace}"


@dataclass
class Speaker:
    """A log, and the loops that are running, the outermost first.

    Attributes
    ----------
    log : file, open for writing
    """

    log: Any = field(repr=False)
    levels: list[Level] = field(default_factory=list, init=False, repr=False)
    spoken: float = field(default_factory=lambda: time.monotonic(), init=False, repr=False)

    def say(self, text: str) -> None:
        """One line in the log, with the time."""
        self.spoken = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self.log, flush=True)

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterator:
        """The items, counted: a bar on a terminal, and a line in the log after each minute without another one.

        A line has all nested loops: `attack: 1 of 4, 95 s each; pgd: 20 of 50, ...`.
        """
        total = len(items) if total is None and hasattr(items, "__len__") else total
        bar = tqdm(items, desc=text, total=total, leave=False, disable=not sys.__stderr__.isatty(), file=sys.__stderr__)
        with self._level(Level(text, total)) as level:
            for item in bar:
                yield item
                level.done += 1
                self.remind()
        if level.told:
            self.say(f"{text}: {level.done} done in {level.seconds:.0f} s")

    def remind(self) -> None:
        """Log how far the loops are, after a minute without a line."""
        if time.monotonic() - self.spoken >= MINUTE:
            self.levels[0].told = True
            self.say("; ".join(map(str, [*self.levels])))

    @contextmanager
    def _level(self, level: Level) -> Iterator[Level]:
        outermost, place = not self.levels, len(self.levels)
        self.levels.append(level)
        try:
            if outermost:
                with self._reminding():
                    yield level
            else:
                yield level
        finally:
            del self.levels[place:]

    @contextmanager
    def _reminding(self) -> Iterator[None]:
        """Log from a thread, since a single item may take long."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(max(self.spoken + MINUTE - time.monotonic(), MINUTE / 100)):
                self.remind()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
