"""A store of digits, and a model that knows most of them after a few steps."""

import itertools
import types

import pytest
import torch

from mettle import models
from mettle.data import digits, write
from mettle.data.store import Store

ABOUT = {
    "arch": "resnet8",
    "classes": 10,
    "size": 32,
    "resize": None,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
}


@pytest.fixture(scope="session")
def job():
    return types.SimpleNamespace(
        seed=0,
        threads=1,
        needs_cuda=False,
        say=lambda text: None,
        progress=lambda items, *rest: items,
        provenance={"rule": "test", "revision": 1},
    )


@pytest.fixture(scope="session")
def digit_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write(folder / "test.lmdb", folder / "test.parquet", itertools.islice(digits.read(None, "test", 10, 0), 60))
    return folder / "test.lmdb"


@pytest.fixture(scope="session")
def checkpoints(digit_store, tmp_path_factory):
    """Weights before and after training, as a training keeps them."""
    held = Store(digit_store)
    x = torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(held.labels)
    models.policy(1)
    model = models.create("resnet8", 10, 32, ABOUT["mean"], ABOUT["std"], 0)
    folder = tmp_path_factory.mktemp("m-plain-s0") / "checkpoints"
    about = ABOUT | {"threat": "none", "eps": 0.0}
    models.save(folder / "epoch-000.safetensors", model, about)
    optimizer = torch.optim.Adam(model.train().parameters(), 0.003)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    models.save(folder / "epoch-010.safetensors", model, about)
    return folder
