"""Images in one folder per class: ImageNet, its subsets, and any data set of a user's own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mettle.data.item import Item, check_classes, decode

_BATCH = 256  # files in memory at a time


def read(source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of `source/split/class/file`, classes and files sorted by name, the files' bytes as they are.

    Every file is decoded once to see that it is whole. Hidden files are passed over, symbolic links followed.

    Parameters
    ----------
    source : folder that holds one folder per split
    split : name of the split's folder
    classes : number of class folders that must be there
    seed : changes nothing

    Raises
    ------
    ValueError
        If the split's folder or a class is missing or empty, or a file cannot be decoded as an image.
    """
    folder = source / split
    if not folder.is_dir():
        held = ", ".join(path.name for path in _sorted(source)) or "nothing"
        raise ValueError(f"{folder} is no folder; {source} holds {held}")
    folders = [path for path in _sorted(folder) if path.is_dir()]
    check_classes(len(folders), classes, folder)
    return _items(source, [(path, label) for label, folder in enumerate(folders) for path in _files(folder)])


def _files(folder: Path) -> list[Path]:
    files = _sorted(folder)
    if not files:
        raise ValueError(f"{folder} holds no images: every class needs one or more")
    return files


def _items(source: Path, files: list[tuple[Path, int]]) -> Iterator[Item]:
    """In order, but decoded on several threads: PIL lets go of the interpreter while it decodes."""
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(files), _BATCH):
            yield from pool.map(lambda file: _item(source, *file), files[first : first + _BATCH])


def _item(source: Path, path: Path, label: int) -> Item:
    if not path.is_file():
        raise ValueError(f"{path} is no file: a class folder may hold images only")
    data = path.read_bytes()
    try:
        decode(data)
    except Exception as error:  # PIL raises a dozen kinds for damaged files
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    return Item(data, label, path.parent.name, path.relative_to(source).as_posix())


def _sorted(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
