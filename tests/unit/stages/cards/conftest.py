"""Tables of attacks of made models, as files of a folder of results."""

import numpy as np
import pandas as pd
import pytest

from mettle import tables
from mettle.tables import FLAGS


def answers(right, label=1):
    """Predictions that are right where they are to be."""
    return np.where(right, label, label + 1)


@pytest.fixture
def results(tmp_path):
    """Writer of an attack table: model, attack, whether the answer to each clean and attacked image is right."""

    def write(model, attack, clean, attacked, *, eps=8 / 255, ids=None, distance=None, **keys):
        n = len(clean)
        ids = range(n) if ids is None else ids
        rows = pd.DataFrame(
            {"id": list(ids), "label": 1, "clean_prediction": answers(clean), "prediction": answers(attacked)}
        )
        told = {"dataset": "ten", "split": "test", "model": model, "attack": attack, "norm": "linf", "eps": eps} | keys
        rest = {"clean_loss": 0.0, "loss": 0.0, "margin": 0.0, "queries": 1, "note": None}
        rest["distance"] = eps if distance is None else distance
        rows = rows.assign(**rest | told, **dict.fromkeys(FLAGS, False))
        path = tmp_path / "results" / "attack" / told["dataset"] / model / f"{attack}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(path, tables.ATTACK, rows[list(tables.ATTACK.columns)], {})
        return str(path)

    return write


@pytest.fixture
def told(tmp_path):
    """What the scores of a model depend on beyond its files."""
    about = {"task": "classification", "published": [], "autoattack": ["aa"], "seed": 0}
    return about | {"results": str(tmp_path / "results"), "model": "net"}
