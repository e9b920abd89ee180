"""A store of digits, and a small vision transformer that was trained on them for a moment, as a base of heads."""

import itertools

import pytest
import torch

from mettle import models
from mettle.data import digits, write
from mettle.data.store import Store

NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT = {"arch": "vit_mini", "classes": 10, "size": 32, "resize": None, "interpolation": "bilinear"} | NORM
ABOUT |= {"threat": "none", "eps": 0.0, "dataset": "digits", "task": "classification"}


@pytest.fixture(scope="session")
def some_digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    write(folder / "train.lmdb", folder / "train.parquet", itertools.islice(digits.read(None, "train", 10, 0), 96))
    return folder / "train.lmdb"


@pytest.fixture(scope="session")
def base(some_digits, tmp_path_factory):
    """Weights of a network that has seen the digits; `base.parents[1]` is the folder of all models."""
    held = Store(some_digits)
    x = torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(held.labels)
    models.policy(1)
    model = models.create("vit_mini", 10, 32, **NORM, seed=0)
    optimizer = torch.optim.Adam(model.train().parameters(), 0.001)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("train") / "plain" / "weights.safetensors"
    path.parent.mkdir()
    models.save(path, model, ABOUT)
    return path
