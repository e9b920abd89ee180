"""Networks in tests that have learned a little: a store of digits, and a small vision transformer that has seen it."""

import itertools

import torch

from mettle import models
from mettle.data import digits, write
from mettle.data.store import Store

NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT = {"arch": "vit_mini", "classes": 10, "size": 32, "resize": None, "interpolation": "bilinear"} | NORM
ABOUT |= {"threat": "none", "eps": 0.0, "dataset": "digits", "task": "classification"}


def digit_store(folder, split, n):
    """A store of the first n digits of a split."""
    paths = folder / f"{split}.lmdb", folder / f"{split}.parquet"
    write(*paths, itertools.islice(digits.read(None, split, 10, 0), n))
    return paths[0]


def learn(model, store, steps, rate):
    """Train a model on all images of a store at once, for some steps of Adam."""
    held = Store(store)
    x = torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(held.labels)
    optimizer = torch.optim.Adam(model.train().parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def small_vit(folder, store, steps):
    """Weights of a small vision transformer that has seen the digits of a store."""
    models.policy(1)
    model = models.create("vit_mini", 10, 32, **NORM, seed=0)
    learn(model, store, steps, 0.001)
    path = folder / "plain" / "weights.safetensors"
    path.parent.mkdir()
    models.save(path, model, ABOUT)
    return path
