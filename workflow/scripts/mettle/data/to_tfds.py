"""
Stores as a data set of TensorFlow Datasets, in the array_record format and without TensorFlow.

`tfds.builder_from_directory(folder).as_data_source(split)` reads it, in the order of the ids. An example has `image`,
`label`, `id` (that of the store), `file_name` (the manifest's `source`), and what the caller adds.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mettle.data.item import decode, png
from mettle.data.pixels import plain
from mettle.data.store import Store

Value = str | int | float


def file_name(source: str) -> dict[str, Value]:
    """The feature `file_name` of an image, from its `source` in the manifest."""
    return {"file_name": source}


def publish(
    stores: Mapping[str, str | Path],
    name: str,
    version: str,
    folder: str | Path,
    description: str,
    *,
    classes: int,
    names: Sequence[str] | None = None,
    extra: Callable[[str], Mapping[str, Value]] = file_name,
    homepage: str | None = None,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> Path:
    """Write `folder/name/version`; an earlier one is replaced once the new data set is complete.

    PNG and JPEG images in RGB are taken as they are; any other becomes a lossless PNG in RGB.

    Parameters
    ----------
    stores : image store by name of the split
    name, version : of the data set: lower case with underscores, and three numbers with points
    folder : TFDS's `data_dir`
    description, homepage : of the data set, and its origin
    classes : number of classes
    names : class names in the order of the labels; None takes those of the stores, and an index for a class that has
        no image in any of them
    extra : features of an image besides image, label and id, made from its `source` in the manifest; the first image
        decides on their types (str, int, float; a float has 32 bits)
    progress : wraps the images of a split

    Returns
    -------
    Folder of the data set, for `tfds.builder_from_directory`.

    Raises
    ------
    ValueError
        If there is no store, a store is damaged, or class names differ or are not as many as the classes.
    """
    import tensorflow_datasets as tfds

    opened = {split: Store(path) for split, path in stores.items()}
    if not opened:
        raise ValueError(f"there are no stores for the data set '{name}'")
    features = _features(next(iter(opened.values())), _names(opened, classes, names), extra)
    splits = {split: _examples(store, extra, progress or iter) for split, store in opened.items()}
    final = Path(folder) / name / version
    part = Path(folder) / f".{name}.{os.getpid()}.tmp"
    try:
        builder = _builder(name, version, part, splits, features, description, homepage)
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(None):  # TFDS reports a download and names the temporary folder
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
        shutil.rmtree(final, ignore_errors=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        Path(builder.data_dir).rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _names(stores: Mapping[str, Store], classes: int, names: Sequence[str] | None) -> list[str]:
    """Class names in the order of the labels, the same in all stores."""
    if names is not None and len(names) != classes:
        raise ValueError(f"there are {len(names)} class names for {classes} classes")
    known = dict(enumerate(names or ()))
    for store in stores.values():
        if int(store.labels.max()) >= classes:
            raise ValueError(f"{store.path} has label {store.labels.max()}, out of range 0..{classes - 1}")
        for label in np.unique(store.labels).tolist():
            if known.setdefault(label, store.class_names[label]) != store.class_names[label]:
                found = store.class_names[label]
                raise ValueError(f"{store.path}: class {label} is named '{found}', but elsewhere '{known[label]}'")
    return [known.get(label, str(label)) for label in range(classes)]


def _features(store: Store, names: list[str], extra: Callable[[str], Mapping[str, Value]]) -> Any:
    import tensorflow_datasets as tfds

    kinds = {str: tfds.features.Text, int: lambda: np.int64, float: lambda: np.float32}
    added = {key: kinds[type(value)]() for key, value in extra(store.manifest()["source"].iloc[0]).items()}
    image, label = tfds.features.Image(shape=(None, None, 3)), tfds.features.ClassLabel(names=names)
    return tfds.features.FeaturesDict({"image": image, "label": label, "id": np.int64} | added)


def _examples(
    store: Store, extra: Callable[[str], Mapping[str, Value]], progress: Callable[[Iterable], Iterable]
) -> Iterator[tuple[int, dict[str, Any]]]:
    sources = store.manifest()["source"]
    for position in progress(range(len(store))):
        number = int(store.ids[position])
        example = {"image": _rgb(store.data(position)), "label": int(store.labels[position]), "id": number}
        yield number, example | dict(extra(sources.iloc[position]))


def _rgb(data: bytes) -> bytes:
    """The encoded image as it is if every decoder makes three channels of it, else as lossless PNG."""
    data = plain(data)
    with Image.open(io.BytesIO(data)) as image:
        if image.format in ("PNG", "JPEG") and image.mode == "RGB":
            return data
    return png(np.asarray(decode(data)))


def _builder(
    name: str,
    version: str,
    folder: Path,
    splits: Mapping[str, Iterator],
    features: Any,
    description: str,
    homepage: str | None,
) -> Any:
    """A TFDS builder of examples that are given."""
    import tensorflow_datasets as tfds

    class Stores(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Description of the data set for TFDS."""

        VERSION = tfds.core.Version(version)
        code_path = None  # else TFDS looks beside this file for checksums of downloads

        def _info(self) -> tfds.core.DatasetInfo:
            return tfds.core.DatasetInfo(
                builder=self,
                description=description,
                features=features,
                supervised_keys=("image", "label"),
                homepage=homepage,
                disable_shuffling=True,  # keeps the examples in the order of their ids
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
            return dict(splits)

        def _generate_examples(self) -> None:
            """Never called: the splits bring their examples."""

    Stores.name = name
    return Stores(data_dir=str(folder), file_format="array_record")
