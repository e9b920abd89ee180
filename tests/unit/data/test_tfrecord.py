"""TFRecord files: published check values, an independent writer, and every kind of feature."""

import struct

import pytest

import records_by_hand
from mettle.data import tfrecord


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next two: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_the_checksum_is_castagnolis_masked(data, crc):
    turned = int(f"{crc:032b}"[-15:] + f"{crc:032b}"[:-15], 2)
    assert tfrecord.masked_crc32c(data) == (turned + 0xA282EAD8) % 2**32
    assert records_by_hand.crc32c(data) == crc


def test_records_come_back_in_order_with_an_empty_one(tmp_path):
    written = [b"one", b"", bytes(100_000), b"last"]
    (tmp_path / "a").write_bytes(b"".join(map(records_by_hand.record, written)))
    assert list(tfrecord.records(tmp_path / "a")) == written
    (tmp_path / "none").write_bytes(b"")
    assert list(tfrecord.records(tmp_path / "none")) == []


def test_a_length_is_not_believed_before_its_checksum(tmp_path):
    """A damaged length of exabytes must not be read."""
    (tmp_path / "a").write_bytes(struct.pack("<QI", 2**62, 0) + b"data")
    with pytest.raises(ValueError, match=r"/a, record 0: the file is damaged, a checksum is wrong"):
        next(tfrecord.records(tmp_path / "a"))


def test_an_example_has_the_values_of_each_feature():
    floats = records_by_hand.field(2, records_by_hand.field(1, struct.pack("<2f", 0.5, -2)))
    entry = records_by_hand.field(1, b"xy") + records_by_hand.field(2, floats)
    record = records_by_hand.example({"image": b"\x00\xff", "label": -1, "box": [1, 300]})
    record += records_by_hand.field(1, records_by_hand.field(1, entry))
    assert tfrecord.example(record) == {"image": [b"\x00\xff"], "label": [-1], "box": [1, 300], "xy": [0.5, -2.0]}
    assert tfrecord.example(b"") == {}
