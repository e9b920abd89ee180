"""Damaged parquet files: cut in half, without their end, with one wrong bit; every stage that reads one names it."""

import io
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from mettle import data, tables
from mettle.data.item import Item, png
from mettle.flow import Job
from mettle.stages import compare
from mettle.stages.invert.images import matched
from mettle.stages.probe import agreement, training
from mettle.stages.tabulate import universality
from representations import write

KEYS = {"dataset": "d", "norm": "l2", "eps": 1.0}
CKA = KEYS | {"measure": "cka"}, {"method": "cka"}
PROBE = {"probes": 1, "epochs": 1, "batch_size": 8, "lr": 0.01, "min_lr": 0.0, "normalise": False, "buffer": 50}


def halved(path, column):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_end(path, column):
    """Zeros in place of a column's last row group; the footer, and all that it says, stay."""
    rows = pq.read_table(path)
    pq.write_table(rows, path, row_group_size=-(-len(rows) // 3))
    held = pq.read_metadata(path)
    assert held.num_row_groups == 3
    names = [held.schema.column(number).path.split(".")[0] for number in range(held.num_columns)]
    chunk = held.row_group(2).column(names.index(column))
    start = min(place for place in (chunk.dictionary_page_offset, chunk.data_page_offset) if place)
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)


def flipped(path, column):
    """One bit of a column's values another; sizes and footer stay."""
    chunk = pq.read_metadata(path).row_group(0)
    names = [chunk.column(number).path_in_schema.split(".")[0] for number in range(chunk.num_columns)]
    place = chunk.column(names.index(column))
    content = bytearray(path.read_bytes())
    start = min(offset for offset in (place.dictionary_page_offset, place.data_page_offset) if offset)
    content[start + place.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


def compared(folder):
    path = write(folder, "b")
    return path, "features", partial(compare.similarities, [write(folder, "a")], [path], *CKA, 0, False, 0)


def subgroups(folder):
    path = write(folder, "b")
    return path, "logits", partial(compare.subgroups, [write(folder, "a")], [path], *CKA, "confidence", 1, 0, 0)


def agreed(folder):
    path = write(folder, "b")
    return path, "logits", partial(compare.agreements, [write(folder, "a")], [path], KEYS)


def probed(folder):
    files = {"train": write(folder, "b", images="train"), "natural": write(folder, "b")}
    job = Job(rule="probe", seed=0, threads=1, provenance={}, log=io.StringIO())
    return files["train"], "features", partial(training.train, files, {"dataset": "d", "model": "b"}, PROBE, 4, job)


def heads_agreed(folder):
    path, n = folder / "d" / "b.parquet", 30
    fixed = {"dataset": ["d"] * n, "images": ["natural"] * n, "model": ["b"] * n}
    numbers = {"id": np.arange(n), "label": np.zeros(n, int), "prediction": np.zeros(n, int)}
    tables.write(path, tables.PROBE, fixed | numbers | {"probes": np.zeros((n, 2), int)})
    return path, "probes", partial(agreement.agreements, path, [], KEYS)


def paired(folder):
    images = [Item(png(np.full((8, 8, 3), n, np.uint8)), n % 2, str(n % 2), "made") for n in range(6)]
    data.write(folder / "test.lmdb", folder / "test.parquet", images)
    path, fixed = folder / "pairs" / "d.parquet", {"dataset": ["d"] * 6, "split": ["test"] * 6}
    numbers = {"id": range(6), "label": [0, 1] * 3, "seed_id": [1, 0] * 3, "seed_label": [1, 0] * 3}
    tables.write(path, tables.PAIRS, fixed | numbers)
    return path, "seed_id", lambda: matched(path, data.Store(folder / "test.lmdb"))


def collected(folder):
    first = write(folder, "a")
    rows = compare.agreements([write(folder, "b")] * 2, [first, write(folder, "c")], KEYS)
    path = folder / "agree" / "b.parquet"
    tables.write(path, tables.AGREE, rows)
    return path, "measure", partial(tables.concat, [path], tables.AGREE)


def ambiguous(folder):
    path, other = write(folder / "d", "b"), write(folder / "d", "a")
    cells = folder / "cells.parquet"
    tables.write(cells, tables.AGREE, compare.agreements([path], [other], KEYS))
    options, rows = {"models": ["a", "b"], "seed": 0}, tables.read(cells, tables.AGREE)
    return path, "prediction", partial(universality.agreement, rows, options, [other, path])


STAGES = [compared, subgroups, agreed, probed, heads_agreed, paired, collected, ambiguous]


@pytest.mark.parametrize("damage", [halved, without_end, flipped])
@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_file_is_named(tmp_path, stage, damage):
    path, column, read = stage(tmp_path)
    read()  # as it was it is fine
    damage(path, column)
    with pytest.raises(ValueError, match=rf"^{path} is not a complete parquet file: "):
        read()
