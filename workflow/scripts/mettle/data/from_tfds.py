"""
Classification sets of TensorFlow Datasets, by name: `tfds/caltech101`, `tfds/cifar10:3.0.2`, `tfds/name/config`.

Read without TensorFlow from files in the tfrecord format, TFDS's usual one, or in array_record. The encoded images are
taken as they are if `plain`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mettle.data import tfrecord
from mettle.data.item import Item, check_classes
from mettle.data.pixels import plain

_AGAIN = "copy the data set again, or prepare it anew"


def read(name: str, source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of one split in the order of the files.

    Parameters
    ----------
    name : data set, with `:version` after it for another than the newest, and `/config` if it has several
    source : TFDS's `data_dir`: the folder that holds the data set's folder
    split : name of the split, as TFDS has it
    classes : number of classes that there must be
    seed : changes nothing

    Raises
    ------
    ValueError
        If the data set is missing, in another file format, or without such a split; if it has no colour image with
        one label, or another number of classes; if a file is damaged or incomplete, or an image cannot be decoded.
    """
    info, builder = _open(name, source)
    where = f"{info.full_name}, split '{split}'"
    if split not in info.splits:
        raise ValueError(f"{source}: {info.full_name} has the splits {', '.join(sorted(info.splits))}, not '{split}'")
    image, label = _features(info)
    check_classes(info.features[label].num_classes, classes, where)
    examples = _EXAMPLES[info.file_format.value](builder, split, image, label)
    return _items(examples, image, label, info.features[label].names, where)


def _open(name: str, source: Path) -> tuple[Any, Any]:
    """Description and builder of a prepared data set."""
    from tensorflow_datasets.core.read_only_builder import builder_from_files
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    try:
        builder = builder_from_files(name, data_dir=str(source))
    except DatasetNotFoundError as error:
        how = f"tfds build {name} --data_dir={source}"
        raise ValueError(
            f"{source} holds no TFDS data set '{name}'; where TensorFlow is installed, this makes it: {how}"
        ) from error
    found = builder.info.file_format.value
    if found not in _EXAMPLES:
        known = " or ".join(_EXAMPLES)
        raise ValueError(f"{builder.data_dir} is in the format {found}: prepare it with file_format={known}")
    return builder.info, builder


def _from_array_record(builder: Any, split: str, image: str, label: str) -> Iterable[dict[str, Any]]:
    """Examples of a split, decoded by TFDS but for the image."""
    import tensorflow_datasets as tfds

    return builder.as_data_source(split, decoders={image: tfds.decode.SkipDecoding()})


def _from_tfrecord(builder: Any, split: str, image: str, label: str) -> Iterator[dict[str, Any]]:
    """The same of a split in TFRecord files, shard after shard; as many as `dataset_info.json` says, or ValueError."""
    found = builder.info.splits[split]
    shards = [Path(path) for path in found.filepaths]
    if missing := [path for path in shards if not path.exists()]:
        raise ValueError(f"{missing[0]}, one of {len(shards)} files of '{split}', does not exist: {_AGAIN}")
    for path, length in zip(shards, found.shard_lengths, strict=True):
        count = 0
        for record in tfrecord.records(path):
            yield _example(record, image, label, f"{path}, record {count}")
            count += 1
        if count != length:
            raise ValueError(f"{path} holds {count} records, but dataset_info.json says {length}: {_AGAIN}")


def _example(record: bytes, image: str, label: str, where: str) -> dict[str, Any]:
    """Features of a record that have one value, image and label among them."""
    try:
        features = tfrecord.example(record)
    except Exception as error:  # protobuf's own kind of error
        raise ValueError(f"{where} is not a tf.train.Example: {error}") from error
    single = {name: values[0] for name, values in features.items() if len(values) == 1}
    for name, kind in ((image, bytes), (label, int)):
        if not isinstance(single.get(name), kind):
            raise ValueError(f"{where} has no feature '{name}' with one value: there are {', '.join(sorted(features))}")
    return single


_EXAMPLES = {"tfrecord": _from_tfrecord, "array_record": _from_array_record}


def _features(info: Any) -> tuple[str, str]:
    """Names of the image and of the label among the features."""
    import tensorflow_datasets as tfds

    image, label = (info.supervised_keys or ("image", "label"))[:2]
    kinds = {image: tfds.features.Image, label: tfds.features.ClassLabel}
    if not all(name in info.features and isinstance(info.features[name], kind) for name, kind in kinds.items()):
        held = ", ".join(sorted(info.features))
        raise ValueError(f"{info.full_name} is not a classification set: no image with a class label among {held}")
    if (channels := info.features[image].shape[-1]) != 3:
        raise ValueError(f"{info.full_name} has images with {channels} channels, but only three are taken")
    return image, label


def _items(examples: Any, image: str, label: str, names: list[str], where: str) -> Iterator[Item]:
    for row, example in enumerate(examples):
        here = f"{where}, image {row}{_file_name(example)}"
        try:
            data = plain(example[image])
        except Exception as error:  # PIL raises a dozen kinds of errors for damaged files
            raise ValueError(f"{here} cannot be read: {error}") from error
        number = int(example[label])
        if not 0 <= number < len(names):
            raise ValueError(f"{here}: label {number} is out of range 0..{len(names) - 1}")
        yield Item(data, number, names[number], here)


def _file_name(example: dict[str, Any]) -> str:
    """Name of the file of an image, if the data set has it."""
    found = [value.decode() for key, value in example.items() if key.rpartition("/")[2] == "file_name"]
    return f" ({found[0]})" if found else ""
