"""Files of the represent stage whose features are made up."""

import types

import numpy as np
import pytest

from mettle import tables

JOB = types.SimpleNamespace(
    seed=0, threads=1, needs_cuda=False, say=lambda text: None, progress=lambda items, *rest: items
)


@pytest.fixture
def job():
    """The job with seed 0."""
    return JOB


@pytest.fixture
def represented(tmp_path):
    """A function that writes features (n, width) and labels as a file with several row groups, and gives its path."""

    def write(features, labels, images="train", model="m", ids=None, group=16):
        n, path = len(features), tmp_path / f"{model}-{images}.parquet"
        columns = {
            "dataset": ["d"] * n,
            "images": [images] * n,
            "model": [model] * n,
            "id": np.arange(n) if ids is None else np.asarray(ids),
            "label": np.asarray(labels),
            "prediction": (np.asarray(labels) + 1) % 3,
            "logits": np.zeros((n, 3)),
            "features": np.asarray(features, np.float32),
        }
        parts = ({key: values[at : at + group] for key, values in columns.items()} for at in range(0, n, group))
        tables.stream(path, tables.REPRESENT, parts, group=group)
        return path

    return write


@pytest.fixture
def blobs(represented):
    """Training and held-out files of three classes around centres `gap` apart, in random order."""

    def write(gap=8.0, n=150, width=5, **names):
        rng = np.random.default_rng(3)
        centres = gap * rng.normal(size=(3, width))
        files = {}
        for images, count in (("train", n), ("natural", 60)):
            labels = rng.integers(0, 3, count)
            features = centres[labels] + rng.normal(size=(count, width))
            files[images] = represented(features, labels, images, **names)
        return files

    return write
