"""Prep stage: a data set as downloaded or generated, packed as one store per split."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mettle import data, tables
from mettle.data import archives, classes
from mettle.data.item import MILLIMETRE
from mettle.data.pixels import size_of
from mettle.data.readers import Reader, reader
from mettle.data.targets import KINDS, Expected
from mettle.digests import verify
from mettle.plan.sources import parse
from mettle.typed import DatasetRow


def prepare(
    dataset: DatasetRow,
    split: str,
    lmdb_path: str | Path,
    manifest_path: str | Path,
    *,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: Callable | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Pack one split, with `{split}.targets.lmdb` if its tasks need more than labels; returns the number of images.

    Parameters
    ----------
    dataset : row of datasets.tsv
    split : name of the split
    lmdb_path, manifest_path : files to write, both or none
    seed : of generated data sets
    provenance, progress : see `data.write`
    say : writes a line of the log

    Raises
    ------
    FileNotFoundError
        If the row's source is missing; the message says which cell to fill and how to get the data.
    ValueError
        If the source is damaged, has another SHA-256, lacks what the row's list names, or does not fit the row; the
        message names the file.
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
    expected, count = expected_targets(dataset), dataset.get("classes")
    with archives.taken(source, origin.member) as given:
        names = _class_names(dataset, chosen, given, split) if expected.kinds else {}
        items = _items(dataset, split, chosen, given, seed, say)
        n = data.write(
            lmdb_path,
            manifest_path,
            items,
            classes=count,
            table=tables.DENSE_MANIFEST if expected.kinds else tables.MANIFEST,
            expected=expected,
            provenance=(provenance or {}) | names,
            progress=progress,
        )
    say(_summary(n, data.Store(lmdb_path), expected, count))
    return n


def expected_targets(dataset: DatasetRow) -> Expected:
    """The targets beyond a label that a row of datasets.tsv requires."""
    kinds = tuple(kind for task, kind in KINDS.items() if task in dataset.get("task", ()))
    count = dataset.get("classes")
    bounds = (dataset["depth_min"], dataset["depth_max"]) if "depth_max" in dataset else None
    crop = tuple(dataset["depth_crop"]) if "depth_crop" in dataset else None
    return Expected(kinds, count, dataset.get("map_classes", count), dataset.get("ignore"), bounds, crop)


def _summary(n: int, store: data.Store, expected: Expected, count: int | None) -> str:
    """Numbers of images and classes, and the targets, in words."""
    seen = len(set(store.labels.tolist()) - {-1})
    labels = f" of {seen} classes" + (f" of {count}" if seen < count else "") if seen else ""
    kinds = [{"label_map": "label maps"}.get(kind, kind) for kind in expected.kinds]
    return f"{n} images{labels}" + (f" with {', '.join(kinds)}" if kinds else "")


def _class_names(dataset: DatasetRow, chosen: Reader, source: Path | None, split: str) -> dict[str, list[str]]:
    """Names of the classes of label maps and objects, by the row's list or else the source; empty if neither has any.

    Raises ValueError if the source has a name of the list at another label.
    """
    listed, own = classes.known(dataset), chosen.names(source, split) if chosen.names else []
    if not listed:
        return {"class_names": own} if own else {}
    for label, (name, given) in enumerate(zip(own, listed.names, strict=False)):
        if name != given and name in listed.names:
            raise ValueError(f"{source}: class {label} is '{name}', but '{given}' in {listed.of}")
    return {"class_names": listed.names}


def _items(
    dataset: DatasetRow,
    split: str,
    chosen: Reader,
    source: Path | None,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[data.Item]:
    """Items of the reader, with class names by the row's list or its parent, if one of them has them."""
    options, names = _subset(dataset, chosen), classes.known(dataset)
    if chosen.subsets:
        if names is None:
            classes.folders(dataset, source)  # raises if splits differ
        options["names"] = names
    told = {"say": say, "unit": dataset.get("depth_unit", MILLIMETRE)}
    options |= {option: told[option] for option in chosen.options}
    items = chosen.read(source, split, dataset.get("classes"), seed, **options)
    if dataset.get("size"):
        items = _sized(items, dataset["size"], f"row '{dataset['dataset']}'")
    return items if names is None else classes.checked(items, names, own=bool(dataset.get("names")))


def _sized(items: Iterable[data.Item], side: int, where: str) -> Iterator[data.Item]:
    """The images, if all of them are squares of the row's `size`."""
    for item in items:
        width, height = size_of(item.data)
        if (width, height) != (side, side):
            raise ValueError(
                f"{item.source} has {width}x{height} pixels, but `size` of {where} in config/datasets.tsv says {side}: "
                "if images vary, write 0 and set input.resize of the recipes"
            )
        yield item


def placed(dataset: DatasetRow, inputs: Iterable[str]) -> dict[str, Any]:
    """The row with its source as found: one that is a result may be in a storage, and its copy among the inputs."""
    copies = [path for path in inputs if path.endswith(f"/{dataset['source']}")] if dataset["source"] else []
    return dataset | {"source": copies[0]} if copies else dataset


def record(inputs: Iterable[str], path: str | Path) -> None:
    """Record the inputs of a split, so that they stay the same after its source is deleted."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(inputs), encoding="utf-8")


def _subset(dataset: DatasetRow, chosen: Reader) -> dict[str, Any]:
    """The row's list, for a reader that can be restricted to one."""
    if not dataset.get("subset"):
        return {}
    if not chosen.subsets:
        where = f"column `subset` of row '{dataset['dataset']}' in config/datasets.tsv"
        raise ValueError(f"reader '{dataset['reader']}' takes no list: empty {where}")
    return {"subset": Path(dataset["subset"])}
