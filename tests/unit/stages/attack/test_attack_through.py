"""Attacks through another model: made by its gradients alone, judged by the model itself."""

import pandas as pd
import pytest
import torch

from mettle import models, schema
from mettle.evaluation import Evaluation
from mettle.stages.attack import evaluate

KEYS = {"dataset": "digits", "split": "test", "model": "m", "attack": "pgd"}
PGD = schema.check({"method": "pgd", "norm": "linf", "eps": 0.1, "steps": 4}, "attacks/pgd", "here")


@pytest.fixture(scope="module")
def other(checkpoints, tmp_path_factory):
    """Weights of another network, which knows nothing yet, in a folder of its name."""
    path = tmp_path_factory.mktemp("train") / "the_other" / "weights.safetensors"
    path.parent.mkdir()
    models.save(path, *models.load(checkpoints / "epoch-000.safetensors"))
    return path


@pytest.fixture
def run(checkpoints, digit_store, job, tmp_path):
    def run(through=None, batch=60):
        evaluation = Evaluation(checkpoints / "epoch-010.safetensors", digit_store, "digits", "fp32", batch, job)
        return pd.DataFrame(evaluate.evaluate(evaluation, KEYS, PGD, tmp_path / "resume", through))

    return run


def test_the_table_is_of_the_model_itself_and_says_who_was_seen(run, other):
    direct, through = run(), run(other)
    for column in ("id", "label", "clean_prediction", "clean_loss"):
        assert through[column].tolist() == direct[column].tolist()
    assert set(through["note"]) == {"attacked through the_other"} and direct["note"].isna().all()
    assert (through["distance"] <= 0.1).all()


def test_it_is_weaker_than_an_attack_on_the_model_itself(run, other):
    direct, through = run(), run(other)
    right = [(frame["prediction"] == frame["label"]).mean() for frame in (direct, through)]
    assert right[0] < right[1]
    assert direct["loss"].mean() > through["loss"].mean()


def test_images_are_those_of_the_other_model(checkpoints, digit_store, job, other):
    """The answers again, from images that were made on the other model and shown to this one."""
    own, seen = (
        Evaluation(path, digit_store, "digits", "fp32", 60, job).open()
        for path in (checkpoints / "epoch-010.safetensors", other)
    )
    (batch,) = own.batches(own.split(own.sample(None)))
    found = evaluate.attack_batch(own, batch, PGD, seen=seen)
    images, queries = evaluate.attacked(seen, batch, PGD)
    with torch.no_grad():
        assert torch.equal(own.model(images).argmax(1), torch.from_numpy(found["prediction"]))
    assert queries.tolist() == found["queries"].tolist()


def test_through_itself_is_the_attack_on_itself_whatever_the_batch(run, checkpoints):
    direct, through = run(), run(checkpoints / "epoch-010.safetensors", batch=16)
    assert through["prediction"].tolist() == direct["prediction"].tolist()
