"""TFRecord files and `tf.train.Example` messages written bit by bit, from the description of their formats alone."""

import struct


def crc32c(data):
    """The polynomial division itself, Castagnoli's, lowest bit first."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    turned = crc >> 15 | crc << 17 & 0xFFFFFFFF
    return struct.pack("<I", (turned + 0xA282EAD8) % 2**32)


def record(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def example(features):
    """An Example of features that are bytes, a whole number or a list of whole numbers."""
    entries = [field(1, field(1, name.encode()) + field(2, feature(value))) for name, value in features.items()]
    return field(1, b"".join(entries))


def feature(value):
    if isinstance(value, bytes):
        return field(1, field(1, value))
    numbers = value if isinstance(value, list) else [value]
    return field(3, field(1, b"".join(map(varint, numbers))))


def field(number, content):
    """A field of a message that has a length of its own."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    number %= 2**64
    groups = [number >> shift & 127 for shift in range(0, 70, 7)]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])
