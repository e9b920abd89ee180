"""Images in one folder per class: ImageNet, its subsets by class or by file, and any data set of a user's own."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mettle.data.classes import Known, class_folders
from mettle.data.item import Item, check_classes
from mettle.data.lists import read_list
from mettle.data.reading import in_order, read_image

_REMEDY = "; if some classes have no images here, list all of them in the order of the labels in column `names`"


def read(
    source: Path, split: str, classes: int, seed: int, subset: Path | None = None, names: Known | None = None
) -> Iterator[Item]:
    """Images of `source/split/class/file`, classes and files sorted by name, the files' bytes as they are if `plain`.

    Every file is decoded once to check it. Hidden files are skipped, symbolic links followed.

    Parameters
    ----------
    source : folder that holds one folder per split
    split : name of the split's folder
    classes : number of class folders that must be there, or that `subset` lists
    seed : changes nothing
    subset : list of class folders, which alone are read and numbered in sorted order, or of image files, which alone
        are read and keep the labels that they have among all class folders
    names : class names in the order of the labels, of which some may have no folder or image; None for the folders
        that are there, each of which needs an image

    Raises
    ------
    ValueError
        If the split's folder or a class is missing or empty, a file cannot be decoded as one picture, or an entry of
        `subset` is missing or appears twice, or a folder is not among `names`.
    """
    folder = source / split
    if not folder.is_dir():
        held = ", ".join(path.name for path in _sorted(source)) or "nothing"
        raise ValueError(f"{folder} is no folder; {source} holds {held}")
    folders = class_folders(folder)
    listed = [] if subset is None else read_list(subset)
    by_class = not {path.name for path in folders}.isdisjoint(listed)
    if by_class:
        folders = _only(folders, listed, subset, folder)
    if names is None:
        check_classes(len(folders), classes, subset if by_class else folder, "" if by_class else _REMEDY)
    labels = {name: label for label, name in enumerate(names.names if names else [path.name for path in folders])}
    if foreign := [path for path in folders if path.name not in labels]:
        raise ValueError(f"{foreign[0]} is none of the {len(labels)} classes of {names.of}")
    files = [path for folder in folders for path in _files(folder, may_be_empty=names is not None)]
    if listed and not by_class:
        files = _only(files, listed, subset, folder)
    return in_order(partial(_item, source), [(path, labels[path.parent.name]) for path in files])


def _only(paths: list[Path], names: list[str], subset: Path, folder: Path) -> list[Path]:
    """The paths that a list names, one for each name."""
    wanted = set(names)
    kept = [path for path in paths if path.name in wanted]
    found = Counter(path.name for path in kept)
    if missing := [name for name in names if name not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"{subset} lists '{missing[0]}'{more}, but {folder} holds no such class or image")
    if twice := [name for name in names if found[name] > 1]:
        raise ValueError(f"{subset} lists '{twice[0]}', which {folder} holds {found[twice[0]]} times")
    return kept


def _files(folder: Path, may_be_empty: bool) -> list[Path]:
    files = _sorted(folder)
    if not files and not may_be_empty:
        raise ValueError(f"{folder} holds no images: every class needs one or more")
    return files


def _item(source: Path, file: tuple[Path, int]) -> Item:
    path, label = file
    if not path.is_file():
        raise ValueError(f"{path} is not a file: a class folder may have images only")
    return Item(read_image(path), label, path.parent.name, path.relative_to(source).as_posix())


def _sorted(folder: Path) -> list[Path]:
    """Contents of a folder, sorted by name, without hidden files."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
