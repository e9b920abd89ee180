"""Features of an image set in a file of the represent stage: checked once, then streamed by row group."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mettle import tables

Chunk = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Features:
    """Features of one model on one image set, which stay in their file.

    Attributes
    ----------
    path : file of the represent stage
    who : model, image set and file, for messages
    n, width : images, and features of each
    spread : classes that a row group holds, relative to those of a random sample of its size, mean over row groups;
        near 1 where the images are in random order, near 0 where they are sorted by class
    constant : whether all images have the same features
    """

    path: Path
    who: str
    n: int
    width: int
    spread: float
    constant: bool

    def groups(self, *columns: str, order: Iterable[int] | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Columns of one row group after the other, `features` as a matrix (rows, width)."""
        return tables.read_groups(self.path, tables.REPRESENT, columns, order)

    def chunks(self, buffer: int, rng: np.random.Generator) -> Iterator[Chunk]:
        """Every image once, in parts of nearly equal size: features (rows, width) in fp32, labels (rows,).

        Row groups come in random order; in file order if the buffer holds them all. All parts use the same memory, so
        finish with one before asking for the next.

        Parameters
        ----------
        buffer : most rows of a part; memory holds these and one row group
        rng : draws the order
        """
        sizes = bounds(self.n, buffer)
        features, labels = np.empty((sizes[0], self.width), np.float32), np.empty(sizes[0], np.int64)
        number = filled = 0
        for rows in self.groups("features", "label", order=self._order(rng) if len(sizes) > 1 else None):
            done, count = 0, len(rows["label"])
            while done < count:
                take = min(sizes[number] - filled, count - done)
                features[filled : filled + take] = rows["features"][done : done + take]
                labels[filled : filled + take] = rows["label"][done : done + take]
                done, filled = done + take, filled + take
                if filled == sizes[number]:
                    yield features[:filled], labels[:filled]
                    number, filled = number + 1, 0

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(tables.row_groups(self.path, tables.REPRESENT)))

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (width,) of the features in float64, by Chan's update of sums of squares.

        A feature that is constant has standard deviation 1, so that dividing by it changes nothing.
        """
        n, mean, squares = 0, np.zeros(self.width), np.zeros(self.width)
        for rows in self.groups("features"):
            part = rows["features"].astype(np.float64)
            here, shift = len(part), part.mean(0) - mean
            squares += part.var(0) * here + shift**2 * (n * here / (n + here))
            mean += shift * (here / (n + here))
            n += here
        std = np.sqrt(squares / n)
        return mean, np.where(std > 0, std, 1)


def look(path: str | Path, model: str, images: str, classes: int) -> Features:
    """A file, fully checked in one pass.

    Raises
    ------
    ValueError
        If a feature is not finite, a label is out of range, or an image appears twice.
    """
    who = f"{model} on {images} images ({path})"
    ids, counts, width = [], [], 0
    low, high = np.inf, -np.inf
    for rows in tables.read_groups(path, tables.REPRESENT, ["id", "label", "features"]):
        _check(rows, classes, who)
        ids.append(rows["id"])
        counts.append(np.bincount(rows["label"], minlength=classes))
        width = rows["features"].shape[1]
        low = np.minimum(low, rows["features"].min(0, initial=np.inf))
        high = np.maximum(high, rows["features"].max(0, initial=-np.inf))
    if not sum(map(len, ids)):
        raise ValueError(f"{who}: there are no images")
    names, times = np.unique(np.concatenate(ids), return_counts=True)
    if (times > 1).any():
        raise ValueError(f"{who}: image {names[times > 1][0]} appears {times.max()} times")
    return Features(Path(path), who, len(names), width, _spread(np.array(counts)), np.array_equal(low, high))


def bounds(n: int, most: int) -> list[int]:
    """Sizes of as few parts of n as have no more than `most` each; they differ by one at most, the largest first."""
    parts = -(-n // most)
    return [n // parts + (number < n % parts) for number in range(parts)]


def _check(rows: dict[str, np.ndarray], classes: int, who: str) -> None:
    finite = np.isfinite(rows["features"]).all(1)
    if not finite.all():
        raise ValueError(f"{who}: features are not finite, first on image {rows['id'][~finite][0]}")
    wrong = rows["label"][(rows["label"] < 0) | (rows["label"] >= classes)]
    if len(wrong):
        raise ValueError(f"{who}: label {wrong[0]} is none of {classes} classes, 0 to {classes - 1}")


def _spread(counts: np.ndarray) -> float:
    """See `Features.spread`; counts (row groups, classes)."""
    share = counts.sum(0) / counts.sum()
    expected = (1 - (1 - share) ** counts.sum(1, keepdims=True)).sum(1)
    return float(((counts > 0).sum(1) / expected).mean())
