"""Functions that readers of folders share: image files, label maps and depth maps by path, several at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from PIL import Image

from mettle.data.pixels import plain

_BATCH = 256  # files in memory at a time
_GREY = ("1", "L", "P", "I;16", "I")

One, Made = TypeVar("One"), TypeVar("Made")


def in_order(function: Callable[[One], Made], given: Iterable[One]) -> Iterator[Made]:
    """A function applied to each, in order, on several threads: PIL releases the interpreter meanwhile."""
    given = iter(given)
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(given, _BATCH)):
            yield from pool.map(function, batch)


def read_image(path: Path) -> bytes:
    """An image file as a store holds it (`pixels.plain`); ValueError names the file if it is not one picture."""
    try:
        return plain(path.read_bytes())
    except Exception as error:  # PIL raises a dozen kinds of errors for damaged files
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def read_map(path: Path) -> np.ndarray:
    """The numbers in a PNG of 8 or 16 bits in grey, or the indices of one with a palette: uint8 or uint16 (h, w).

    Raises
    ------
    ValueError
        If the file is damaged or has colours; the message names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # as above
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if image.mode not in _GREY:
        raise ValueError(
            f"{path} is of mode '{image.mode}', but a map of numbers has to be grey of 8 or 16 bits, or have a palette"
        )
    return np.asarray(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8)


def pair(images: Path, maps: Path) -> list[tuple[Path, Path]]:
    """Images in a folder with the maps of the same stem in another; sorted by name, without hidden files.

    Raises
    ------
    ValueError
        If a folder is missing or empty, or an image or map has no partner or several; names the file.
    """
    left, right = _by_name(images), _by_name(maps)
    for mine, theirs, folder in ((left, right, maps), (right, left, images)):
        if alone := sorted(mine.keys() - theirs.keys()):
            raise ValueError(f"{mine[alone[0]]} has no partner: {folder} holds no '{alone[0]}.*'")
    return [(left[name], right[name]) for name in sorted(left)]


def below(folder: Path, name: str, where: str) -> Path:
    """The path of a file that a list names below a folder; a slash at its beginning is ignored.

    Raises
    ------
    ValueError
        If the name leads out of the folder; begins with `where`, which says who names it.
    """
    parts = PurePosixPath(name.replace("\\", "/").lstrip("/")).parts
    if not parts or ".." in parts:
        raise ValueError(f"{where}: '{name}' does not lie in {folder}")
    return folder.joinpath(*parts)


def _by_name(folder: Path) -> dict[str, Path]:
    """Files of a folder by their name without its ending."""
    files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
    if not files:
        raise ValueError(f"{folder} is missing, or holds no files")
    named: dict[str, Path] = {}
    for path in files:
        if (other := named.setdefault(path.stem, path)) != path:
            raise ValueError(f"{folder} holds both {other.name} and {path.name}: keep one of them")
    return named
