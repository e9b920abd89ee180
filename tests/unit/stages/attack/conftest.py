"""A store of digits, and a model that knows most of them after a few steps."""

import types

import pytest

import learners
from mettle import models

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
    return learners.digit_store(tmp_path_factory.mktemp("store"), "test", 60)


@pytest.fixture(scope="session")
def checkpoints(digit_store, tmp_path_factory):
    """Weights before and after training, as a training keeps them."""
    models.policy(1)
    model = models.create("resnet8", 10, 32, ABOUT["mean"], ABOUT["std"], 0)
    folder = tmp_path_factory.mktemp("m-plain-s0") / "checkpoints"
    about = ABOUT | {"threat": "none", "eps": 0.0}
    models.save(folder / "epoch-000.safetensors", model, about)
    learners.learn(model, digit_store, 60, 0.003)
    models.save(folder / "epoch-010.safetensors", model, about)
    return folder
