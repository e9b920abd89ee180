"""
TFRecord files and the `tf.train.Example` in each record, without TensorFlow.

A record is its length (8 bytes, little endian) and its bytes, each followed by a masked CRC32C, which is verified
before they are used. The checksum is google-crc32c's; the message comes with TFDS.
"""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

Value = bytes | int | float
_AGAIN = "copy the data set again, or prepare it anew"


def records(path: Path) -> Iterator[bytes]:
    """The records of a file, in order.

    Raises
    ------
    ValueError
        If a checksum is wrong or the file ends within a record; names the file and the record, counted from 0.
    """
    number = 0
    with path.open("rb") as file:
        while file.peek(1):
            where = f"{path}, record {number}"
            length = _checked(file, 8, where)
            yield _checked(file, int.from_bytes(length, "little"), where)
            number += 1


def example(record: bytes) -> dict[str, list[Value]]:
    """Values by feature of a record that is a `tf.train.Example`; others raise protobuf's error."""
    from tensorflow_datasets.proto import tf_example_pb2

    features = tf_example_pb2.Example.FromString(record).features.feature
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {name: list(getattr(features[name], kind).value) for name, kind in kinds.items() if kind}


def masked_crc32c(data: bytes) -> int:
    """CRC32C as TFRecord files hold it: turned by 15 bits, plus a constant, since data may hold a CRC itself."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _checked(file: BufferedReader, size: int, where: str) -> bytes:
    """The next bytes, if the checksum after them is right."""
    data, checksum = file.read(size), file.read(4)
    if len(data) < size or len(checksum) < 4:
        raise ValueError(f"{where}: the file ends within it: {_AGAIN}")
    if int.from_bytes(checksum, "little") != masked_crc32c(data):
        raise ValueError(f"{where}: the file is damaged, a checksum is wrong: {_AGAIN}")
    return data
