"""
Classification sets of TensorFlow Datasets, by name: `tfds/caltech101`, `tfds/cifar10:3.0.2`, `tfds/name/config`.

Read without TensorFlow from files in the array_record format. The encoded images are taken as they are if `plain`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mettle.data.item import Item, check_classes
from mettle.data.pixels import plain


def read(name: str, source: Path, split: str, classes: int, seed: int) -> Iterator[Item]:
    """Images of one split in the order of the files.

    Parameters
    ----------
    name : data set, with `:version` behind it for another than the newest, and `/config` where it has several
    source : TFDS's `data_dir`: the folder that holds the data set's folder
    split : name of the split, as TFDS has it
    classes : number of classes that there must be
    seed : changes nothing

    Raises
    ------
    ValueError
        If the data set is not there, in another file format, or without such a split; if it has no colour image with
        one label, or another number of classes; if an image cannot be decoded.
    """
    import tensorflow_datasets as tfds

    info, builder = _open(name, source)
    where = f"{info.full_name}, split '{split}'"
    if split not in info.splits:
        raise ValueError(f"{source}: {info.full_name} has the splits {', '.join(sorted(info.splits))}, not '{split}'")
    image, label = _features(info)
    check_classes(info.features[label].num_classes, classes, where)
    examples = builder.as_data_source(split, decoders={image: tfds.decode.SkipDecoding()})
    return _items(examples, image, label, info.features[label].names, where)


def _open(name: str, source: Path) -> tuple[Any, Any]:
    """Description and builder of a data set that is prepared."""
    from tensorflow_datasets.core.read_only_builder import builder_from_files
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    try:
        builder = builder_from_files(name, data_dir=str(source))
    except DatasetNotFoundError as error:
        how = f"tfds build {name} --data_dir={source} --file_format=array_record"
        raise ValueError(
            f"{source} holds no TFDS data set '{name}'; where TensorFlow is installed, this makes it: {how}"
        ) from error
    found = builder.info.file_format.value
    if found != "array_record":
        raise ValueError(f"{builder.data_dir} is in the format {found}; prepare it with file_format='array_record'")
    return builder.info, builder


def _features(info: Any) -> tuple[str, str]:
    """Names of the image and of the label among the features."""
    import tensorflow_datasets as tfds

    image, label = (info.supervised_keys or ("image", "label"))[:2]
    kinds = {image: tfds.features.Image, label: tfds.features.ClassLabel}
    if not all(name in info.features and isinstance(info.features[name], kind) for name, kind in kinds.items()):
        held = ", ".join(sorted(info.features))
        raise ValueError(f"{info.full_name} is no classification set: no image with a class label among {held}")
    if (channels := info.features[image].shape[-1]) != 3:
        raise ValueError(f"{info.full_name} has images with {channels} channels, but only three are taken")
    return image, label


def _items(examples: Any, image: str, label: str, names: list[str], where: str) -> Iterator[Item]:
    for row, example in enumerate(examples):
        here = f"{where}, image {row}{_file_name(example)}"
        try:
            data = plain(example[image])
        except Exception as error:  # PIL raises a dozen kinds for damaged files
            raise ValueError(f"{here} cannot be read: {error}") from error
        number = int(example[label])
        if not 0 <= number < len(names):
            raise ValueError(f"{here}: label {number} is out of range 0..{len(names) - 1}")
        yield Item(data, number, names[number], here)


def _file_name(example: dict[str, Any]) -> str:
    """Name of the file that an image was, where the data set tells."""
    found = [value.decode() for key, value in example.items() if key.rpartition("/")[2] == "file_name"]
    return f" ({found[0]})" if found else ""
