"""Stores of few images."""

import itertools

import pytest

from mettle.data import digits, write


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    for split, n in (("train", 64), ("test", 32)):
        items = itertools.islice(digits.read(None, split, 10, 0), n)
        write(folder / f"{split}.lmdb", folder / f"{split}.parquet", items)
    return folder / "train.lmdb", folder / "test.lmdb"
