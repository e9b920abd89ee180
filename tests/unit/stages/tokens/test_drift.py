"""How far attacks move features: columns against features computed here, and the same for any split into batches."""

import numpy as np
import pytest
import torch
from token_trainings import STRONG, Job, train

from mettle import models, schema, tables
from mettle.evaluation import Evaluation
from mettle.models.features import Features
from mettle.stages.drift.features import compared, drift

KEYS = {"dataset": "digits", "split": "train", "model": "hard", "attack": "weak"}


def options(**own):
    return schema.check({"norm": "linf", "eps": "8/255", "steps": 5} | own, "feature_attack", "here")


@pytest.fixture(scope="module")
def hardened(some_digits, trained):
    attack = {"norm": "linf", "eps": STRONG, "steps": 5}
    train(some_digits, trained, "for_drift", steps=40, optimizer={"lr": 0.05, "decay": "cosine"}, attack=attack)
    return trained.parents[1] / "for_drift" / "weights.safetensors"


def measured(store, weights, base, through, tmp_path, batch=16, sample=12, **own):
    evaluation = Evaluation(weights, store, "digits", "fp32", batch, Job())
    paths = {"through": through, "base": base}
    columns = drift(evaluation, paths, KEYS | {"through": "t"}, options(**own), sample, tmp_path / "resume")
    tables.write(tmp_path / "d.parquet", tables.DRIFT, columns, {"rule": "drift"})
    return tables.read(tmp_path / "d.parquet", tables.DRIFT)


def test_of_a_network_without_tokens_nothing_drifts_but_by_the_attack(some_digits, trained, tmp_path):
    found = measured(some_digits, trained, trained, trained, tmp_path)
    assert len(found) == 12 and found["id"].is_monotonic_increasing
    for axis in ("channels", "tokens", "class_token"):
        assert found[f"clean_{axis}"].tolist() == pytest.approx([1] * 12)
        assert (found[axis] == found[f"base_{axis}"]).all() and (found[axis] < 0.999).all()
    assert (found["clean_mse"] == 0).all() and (found["distance"] <= 8 / 255).all() and (found["queries"] >= 6).all()


def test_columns_are_those_of_the_features(some_digits, trained, hardened, tmp_path):
    found = measured(some_digits, hardened, trained, trained, tmp_path)
    opened = Evaluation(hardened, some_digits, "digits", "fp32", 16, Job()).open(scored=False)
    (batch,) = opened.batches(opened.split(opened.sample(12)))
    own, base = Features(opened.model), Features(models.load(trained)[0])
    with torch.no_grad():
        a, b = own(batch.images).double(), base(batch.images).double()
    channels = (a * b).sum(2) / (a.norm(dim=2) * b.norm(dim=2))
    np.testing.assert_allclose(found["clean_channels"], channels.mean(1), atol=1e-6)
    np.testing.assert_allclose(found["clean_class_token"], channels[:, 0], atol=1e-6)
    np.testing.assert_allclose(found["clean_mse"], (a - b).square().mean((1, 2)), rtol=1e-4)


def test_tokens_help_against_an_attack_through_the_base_and_one_through_themselves_is_another(
    some_digits, trained, hardened, tmp_path
):
    own = {"eps": "32/255", "steps": 20}
    plain = measured(some_digits, trained, trained, trained, tmp_path, **own)
    transfer = measured(some_digits, hardened, trained, trained, tmp_path, **own)
    adaptive = measured(some_digits, hardened, trained, hardened, tmp_path, **own)
    assert transfer["base_channels"].mean() > plain["channels"].mean()
    assert not np.allclose(adaptive["channels"], transfer["channels"]) and (adaptive["channels"] < 0.95).all()


def test_batches_and_a_resumed_job_change_nothing(some_digits, trained, hardened, tmp_path):
    expected = measured(some_digits, hardened, trained, trained, tmp_path)
    found = measured(some_digits, hardened, trained, trained, tmp_path, batch=5)
    for column in ("base_channels", "channels", "distance"):
        np.testing.assert_allclose(found[column], expected[column], atol=1e-5)


def test_a_network_without_a_class_token_has_none_to_compare():
    features = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    found = compared(features, features, "", class_token=False)
    assert found["class_token"].isnan().all() and found["channels"].tolist() == pytest.approx([1] * 3)
