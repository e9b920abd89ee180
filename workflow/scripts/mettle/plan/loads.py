"""The load of a job: operations, images and memory, and the passes that attacks are worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from mettle.plan.costs import Network
from mettle.typed import AttackOptions

BACK = 3  # forward passes that a forward and a backward pass are worth
_PHOTOGRAPH = 224  # pixels a side of an image that takes as long to decode as a photograph


@dataclass(frozen=True)
class Load:
    """The load of a job.

    Attributes
    ----------
    gflop : operations of passes through networks, in 1e9
    decoded : photographs to decode, or as many smaller images as take as long
    seconds : for everything else, on one thread
    mb : memory beyond that of a process that has imported what it needs
    passing : MB of passes on the network's device: in the memory of a GPU if there is one
    batch : MB of a batch of decoded images, several of which are queued
    """

    gflop: float = 0
    decoded: float = 0
    seconds: float = 0
    mb: float = 0
    passing: float = 0
    batch: float = 0

    def __add__(self, other: "Load") -> "Load":
        """Of two loads, one after the other."""
        done = (getattr(self, key) + getattr(other, key) for key in ("gflop", "decoded", "seconds"))
        return Load(*done, *(max(getattr(self, key), getattr(other, key)) for key in ("mb", "passing", "batch")))


@dataclass(frozen=True)
class Images:
    """Images for a network.

    Attributes
    ----------
    n : number
    size : pixels a side; 0 if they vary
    net : the network
    kept : whether all are kept in memory, as are those that have the network's size
    """

    n: int
    size: int
    net: Network
    kept: bool

    @property
    def photographs(self) -> float:
        """Photographs that take as long to decode as one of these."""
        return ((self.size or _PHOTOGRAPH) / _PHOTOGRAPH) ** 2

    @property
    def mb(self) -> float:
        """Memory that they take, a byte per value."""
        return mb(self.n, self.net.size**2 * 3) / 4 if self.kept else 0


def count(stores: Sequence[str], otherwise: int) -> int:
    """Number of images of splits; `otherwise` for one that is not packed yet, or damaged, which its job will report."""
    manifests = [Path(path) for path in stores if path.endswith(".parquet")]
    return sum(found if (found := _rows(path)) is not None else otherwise for path in manifests)


def _rows(path: Path) -> int | None:
    try:
        return _length(path, path.stat().st_mtime_ns)
    except (ImportError, OSError, ValueError):
        return None


@cache
def _length(path: Path, changed: int) -> int:
    # By name, when it is needed: importing it takes longer than most plans, and Snakemake's environment need not have
    # pyarrow; jobs then request resources by the sheets alone.
    return import_module("mettle.tables").length(path)


def mb(n: float, width: float) -> float:
    """Size of n rows of float32."""
    return n * width * 4 / 1e6


# Forward passes that attacks are worth per image


def passes(options: AttackOptions) -> float:
    """Forward passes that an attack is worth per image; half of that with early stop, since images drop out.

    A method that is not known here counts as AutoAttack.
    """
    total = PASSES[options["method"]](options) if options["method"] in PASSES else 12_500
    return total / 2 if options.get("early_stop", True) else total


def _pgd(options: AttackOptions) -> float:
    return options["restarts"] * (BACK * options["steps"] + 1)


def _apgd(options: AttackOptions) -> float:
    return _pgd(options) * (options["targets"] if options["loss"] == "dlr_targeted" else 1)


def _minimal(options: AttackOptions) -> float:
    return 2 * (BACK * options["steps"] + 2)  # twice, since no image drops out


def _fab(options: AttackOptions) -> float:
    return options["restarts"] * options["targets"] * options["steps"] * (BACK + 2)


def _autoattack(options: AttackOptions) -> float:
    steps, targets = options["steps"], options["targets"]
    members = {"apgd_ce": BACK, "apgd_t": BACK * targets, "fab_t": (BACK + 2) * targets}
    return sum(steps * members[name] if name in members else options["queries"] for name in options["attacks"])


PASSES: dict[str, Callable[[dict[str, Any]], float]] = {
    "pgd": _pgd,
    "apgd": _apgd,
    "fab": _fab,
    "ddn": _minimal,
    "fmn": _minimal,
    "square": lambda options: options["queries"],
    "autoattack": _autoattack,
}
