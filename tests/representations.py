"""Represent files to compare."""

import numpy as np

from mettle import tables


def write(folder, name, n=120, width=6, seed=0, disagree=40, images="natural", **columns):
    """A represent file; predictions differ from class `row mod 4` on the first `disagree` rows by one class."""
    rng = np.random.default_rng(seed)
    latent = np.random.default_rng(99).normal(size=(n, width))
    label = np.arange(n) % 4
    prediction = np.where(np.arange(n) < disagree, (label + 1) % 4, label)
    found = {
        "dataset": ["d"] * n,
        "images": [images] * n,
        "model": [name] * n,
        "id": np.arange(n),
        "label": label,
        "prediction": prediction,
        "logits": 3 * np.eye(4)[prediction] + rng.normal(size=(n, 4)),
        "features": latent + 0.5 * rng.normal(size=(n, width)),
    }
    path = folder / images / f"{name}.parquet"
    tables.write(path, tables.REPRESENT, found | columns)
    return path
