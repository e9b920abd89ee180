"""Layouts stage: files that other projects need beside or in place of a published data set."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mettle.data import archives, dinov2, nyu
from mettle.plan.sources import parse
from mettle.typed import DatasetRow

Say = Callable[[str], None]


def dinov2_arrays(dataset: DatasetRow, folder: str | Path, say: Say = lambda line: None) -> None:
    """Write the arrays that DINOv2 reads for every split of a folder of classes, and for `test` if it exists.

    Parameters
    ----------
    dataset : row of datasets.tsv whose reader is `folder`
    folder : DINOv2's `extra`
    say : writes a line of the log

    Raises
    ------
    ValueError
        If `subset` restricts the row, or for what `dinov2.write` raises.
    """
    if dataset.get("subset"):
        raise ValueError(
            f"row '{dataset['dataset']}' in config/datasets.tsv is restricted by `subset`, which DINOv2 cannot be: "
            "make a folder with links to these images, and a row for it"
        )
    source, folder = _source(dataset).path, Path(folder)
    names = dinov2.read_labels(source / "labels.txt")
    splits = [*_splits(dataset), *(["test"] if (source / "test").is_dir() and "test" not in _splits(dataset) else [])]
    for split in splits:
        say(f"{split}: {dinov2.write(source, split, names, folder)} images")


def mmseg_folders(dataset: DatasetRow, folder: str | Path, say: Say = lambda line: None) -> None:
    """Copy NYU Depth v2 to where mmsegmentation looks for it; the source is not changed.

    Parameters
    ----------
    dataset : row of datasets.tsv whose reader is `nyu`
    folder : mmsegmentation's `data/nyu`
    say : writes a line of the log

    Raises
    ------
    ValueError
        What `nyu.arrange` and `archives.taken` raise.
    """
    origin = _source(dataset)
    with archives.taken(origin.path, origin.member) as source:
        say(f"{nyu.arrange(source, _splits(dataset), Path(folder), say)} images with their depth maps")


def _splits(dataset: DatasetRow) -> Iterable[str]:
    return [dataset[key] for key in ("train", "test") if dataset.get(key)]


def _source(dataset: DatasetRow) -> Any:
    return parse(dataset["source"], f"row '{dataset['dataset']}' in config/datasets.tsv")
