"""The represent stage: what a model makes of images that all models share."""

import itertools
import types

import numpy as np
import pytest
import torch

from mettle import models, represent, tables
from mettle.data import digits, write
from mettle.data.store import Store

N = 40
KEYS = {"dataset": "digits", "images": "natural", "model": "m"}
MEAN, STD = [0.5] * 3, [0.25] * 3
JOB = types.SimpleNamespace(seed=0, threads=1, say=lambda text: None, progress=lambda items, *rest: items)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    items = itertools.islice(digits.read(None, "test", 10, 0), N)
    write(folder / "test.lmdb", folder / "test.parquet", items)
    return folder / "test.lmdb"


def saved(folder, arch="resnet8", change=None, resize=None):
    model = models.create(arch, 10, 32, MEAN, STD, 1)
    if change:
        change(model)
    about = {
        "arch": arch,
        "classes": 10,
        "size": 32,
        "resize": resize,
        "interpolation": "bilinear",
        "mean": MEAN,
        "std": STD,
    }
    models.save(folder / f"{arch}.safetensors", model, about | {"threat": "none", "eps": 0.0})
    return folder / f"{arch}.safetensors"


def run(weights, store, sample=1000, precision="fp32", batch=16, seed=0, **keys):
    job = types.SimpleNamespace(**vars(JOB) | {"seed": seed})
    parts = list(represent.extract(weights, store, KEYS | keys, sample, precision, batch, job))
    vectors = ("id", "label", "prediction", "logits", "features")
    return {
        key: np.concatenate([part[key] for part in parts])
        if key in vectors
        else [v for part in parts for v in part[key]]
        for key in parts[0]
    }


@pytest.mark.parametrize("arch", ["resnet8", "xcit_mini"])
def test_columns_are_the_models_answer(tmp_path, store, arch):
    weights = saved(tmp_path, arch)
    found, (model, _), held = run(weights, store), models.load(weights), Store(store)
    with torch.inference_mode():
        logits, features = model.both(torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255)
    assert set(found) == set(tables.REPRESENT.columns)
    assert found["id"].tolist() == held.ids.tolist()
    assert found["label"].tolist() == held.labels.tolist()
    assert found["prediction"].tolist() == logits.argmax(1).tolist()
    assert (found["dataset"], found["images"], found["model"]) == (["digits"] * N, ["natural"] * N, ["m"] * N)
    np.testing.assert_allclose(found["logits"], logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["features"], features, rtol=0, atol=1e-4)
    assert found["features"].shape == (N, model.last.in_features)
    assert found["features"].dtype == np.float32


def test_they_fit_their_table(tmp_path, store):
    found = run(saved(tmp_path), store)
    tables.write(tmp_path / "r.parquet", tables.REPRESENT, found, {"rule": "represent"})
    for key in ("logits", "features"):
        assert np.array_equal(tables.vectors(tmp_path / "r.parquet", tables.REPRESENT, key), found[key])


def test_batch_size_does_not_matter(tmp_path, store):
    first, second = (run(saved(tmp_path), store, batch=batch) for batch in (1, 33))
    assert first["id"].tolist() == second["id"].tolist()
    np.testing.assert_allclose(first["features"], second["features"], rtol=0, atol=1e-4)


def test_the_sample_is_shared_by_models_and_drawn_from_the_seed(tmp_path, store):
    first, other = saved(tmp_path), saved(tmp_path, "densenet10")
    sample = run(first, store, 12)
    ids = sample["id"].tolist()
    assert len(ids) == 12
    assert ids == sorted(set(ids))
    assert sample["label"].tolist() == Store(store).labels[ids].tolist()
    assert run(other, store, 12, model="other", batch=5)["id"].tolist() == ids
    assert run(first, store, 12, seed=1)["id"].tolist() != ids
    assert run(first, store, 12, dataset="another")["id"].tolist() != ids
    whole = run(first, store)
    np.testing.assert_allclose(sample["features"], whole["features"][ids], rtol=0, atol=1e-4)


def test_bf16_is_near_and_stored_as_fp32(tmp_path, store):
    exact, rough = run(saved(tmp_path), store), run(saved(tmp_path), store, precision="bf16")
    assert rough["features"].dtype == rough["logits"].dtype == np.float32
    assert not np.array_equal(exact["features"], rough["features"])
    np.testing.assert_allclose(rough["features"], exact["features"], rtol=0.05, atol=0.05 * exact["features"].max())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(tmp_path, store, value):
    weights = saved(tmp_path, change=lambda model: model.network.fc.bias.data.fill_(value))
    with pytest.raises(
        ValueError, match=r"resnet8\.safetensors: logits or features are not finite on some images of .*test\.lmdb$"
    ):
        run(weights, store)


def test_without_a_sample_all_images_are_represented_a_batch_at_a_time(tmp_path, store):
    job = types.SimpleNamespace(**vars(JOB))
    parts = list(represent.extract(saved(tmp_path), store, KEYS | {"images": "train"}, None, "fp32", 16, job))
    assert [len(part["id"]) for part in parts] == [14, 13, 13]
    ids = np.concatenate([part["id"] for part in parts])
    assert sorted(ids) == list(range(N)) != ids.tolist(), "training images come in random order"
    assert tables.stream(tmp_path / "r.parquet", tables.REPRESENT, parts) == N


def test_inverted_images_are_taken_as_they_are(tmp_path, store):
    """Their size is the network's, so the evaluation's resize and crop would cut them."""
    plain, cropped = saved(tmp_path), saved(tmp_path / "cropped", resize=40)
    expected = run(plain, store)["features"]
    found = run(cropped, store, None, images="inverted-m")["features"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert np.abs(run(cropped, store)["features"] - expected).max() > 0.01
