"""Attack convergence: images that the model knows, losses that rise with the steps and depend on the seed alone."""

import pandas as pd
import pytest

from mettle import tables
from mettle.evaluation import Evaluation
from mettle.stages.attack.convergence import convergence

KEYS = {"dataset": "digits", "split": "test", "model": "m"}
OPTIONS = {"norm": "l2", "eps": 1.0, "steps": [0, 1, 10], "step_size": None, "seeds": 3, "images": 7}


def run(checkpoints, digit_store, job, batch=4, **other):
    weights = checkpoints / "epoch-010.safetensors"
    return pd.DataFrame(
        convergence(Evaluation(weights, digit_store, "digits", "fp32", batch, job), KEYS, OPTIONS | other)
    )


def test_every_image_step_and_seed_once(checkpoints, digit_store, job, tmp_path):
    rows = run(checkpoints, digit_store, job)
    assert len(rows) == 7 * 3 * 3 == len(rows[["id", "steps", "seed"]].drop_duplicates())
    assert rows["id"].nunique() == 7
    tables.write(tmp_path / "c.parquet", tables.CONVERGENCE, rows.to_dict("records"))
    loss = rows.groupby("steps")["value"].mean()
    assert loss[0] < loss[1] < loss[10]
    start = rows[rows["steps"] == 0]
    assert start.groupby("id")["value"].nunique().max() == 3, "seeds start at different points"
    assert (start["value"] < 2.3).all(), "images are known to the model"


def test_batches_do_not_matter(checkpoints, digit_store, job):
    first, second = (run(checkpoints, digit_store, job, batch) for batch in (3, 30))
    keys = ["id", "steps", "seed"]
    both = first.merge(second, on=keys, suffixes=("", "_b"))
    assert len(both) == len(first)
    assert both["value"].to_numpy() == pytest.approx(both["value_b"].to_numpy(), rel=1e-2, abs=1e-3)


def test_too_few_known_images_are_an_error(checkpoints, digit_store, job):
    with pytest.raises(ValueError, match=r"^m classifies \d+ images of 'digits' correctly, .*images asks for 61$"):
        run(checkpoints, digit_store, job, images=61)
