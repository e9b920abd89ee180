"""Prep stage: a data set as downloaded or generated, packed as one store per split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mettle import data
from mettle.data import archives
from mettle.data.readers import Reader, reader
from mettle.flow import verify
from mettle.plan.sources import parse


def prepare(
    dataset: dict[str, Any],
    split: str,
    lmdb_path: str | Path,
    manifest_path: str | Path,
    *,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: Callable | None = None,
) -> int:
    """Pack one split; the number of images.

    Parameters
    ----------
    dataset : row of datasets.tsv
    split : name of the split
    lmdb_path, manifest_path : files to write, both or none
    seed : of generated data sets
    provenance, progress : see `data.write`

    Raises
    ------
    FileNotFoundError
        If the row's source is not there; says which cell to fill and how to get the data.
    ValueError
        If the source is damaged, has another SHA-256, lacks what the row's list names, or does not fit the row; names
        the file.
    OSError
        If the store cannot be written.
    """
    chosen = reader(dataset["reader"])
    where = f"column `source` of row '{dataset['dataset']}' in config/datasets.tsv"
    origin = parse(dataset["source"], where)
    source = origin.path if dataset["source"] else None
    if not chosen.generated and (source is None or not source.exists()):
        found = f"{source} does not exist" if source else "no path is given"
        raise FileNotFoundError(f"{found}: fill {where} with the path of the data; to get it: {dataset['home']}")
    if source is not None:
        verify(source, dataset.get("sha256"))
    if chosen.splits and split not in chosen.splits:
        raise ValueError(f"reader '{dataset['reader']}' has the splits {', '.join(chosen.splits)}, not '{split}'")
    with archives.taken(source, origin.member) as given:
        items = chosen.read(given, split, dataset["classes"], seed, **_subset(dataset, chosen))
        return data.write(
            lmdb_path, manifest_path, items, classes=dataset["classes"], provenance=provenance, progress=progress
        )


def _subset(dataset: dict[str, Any], chosen: Reader) -> dict[str, Path]:
    """The row's list, for a reader that can be restricted to one."""
    if not dataset.get("subset"):
        return {}
    if not chosen.subsets:
        where = f"column `subset` of row '{dataset['dataset']}' in config/datasets.tsv"
        raise ValueError(f"reader '{dataset['reader']}' takes no list: empty {where}")
    return {"subset": Path(dataset["subset"])}
