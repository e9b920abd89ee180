"""Activations along the blocks, clean and attacked, beside those computed here; the images are those of `drift`."""

import numpy as np
import pytest
import torch
from token_trainings import STRONG, Job, train

from mettle import models, schema, tables
from mettle.evaluation import Evaluation
from mettle.models.activations import along
from mettle.models.features import Features
from mettle.stages.drift import attacked as shared
from mettle.stages.drift.activations import Measured
from mettle.stages.drift.features import drift

KEYS = {"dataset": "digits", "split": "train", "model": "hard", "attack": "weak", "through": "plain"}
OPTIONS = schema.check({"norm": "linf", "eps": "32/255", "steps": 5}, "feature_attack", "here")
LAYERS = ["input", *(f"blocks.{number}" for number in range(6))]


@pytest.fixture(scope="module")
def hardened(some_digits, trained):
    attack = {"norm": "linf", "eps": STRONG, "steps": 1}
    train(some_digits, trained, "for_activations", steps=3, optimizer={"lr": 0.05}, attack=attack)
    return trained.parents[1] / "for_activations" / "weights.safetensors"


def evaluation(weights, store, batch=8):
    return Evaluation(weights, store, "digits", "fp32", batch, Job())


def measured(store, weights, through, tmp_path, batch=8, sample=12):
    found = Measured(evaluation(weights, store, batch), through, KEYS, OPTIONS, sample)
    tables.stream(tmp_path / "s.parquet", tables.SURFACE, found.surface(), {"rule": "activations"})
    tables.stream(
        tmp_path / "a.parquet", tables.ACTIVATIONS, found.largest(tmp_path / "resume"), {"rule": "activations"}
    )
    return tables.read(tmp_path / "a.parquet", tables.ACTIVATIONS), tables.read(tmp_path / "s.parquet", tables.SURFACE)


def as_drift_attacks(store, weights, through, sample=12):
    """Model, clean images and attacked ones, as rule `drift` has them."""
    opened = evaluation(weights, store).open(scored=False)
    seen = Features(models.load(through)[0])
    batches = list(opened.batches(opened.split(opened.sample(sample))))
    moved = [shared.attacked(opened, batch, seen, OPTIONS)[0] for batch in batches]
    return opened.model, torch.cat([batch.images for batch in batches]), torch.cat(moved)


def slowly(model, images):
    """The largest activation of every image and layer, (layers, n)."""
    with torch.no_grad():
        kept = along(model, images, lambda tokens: tokens.double())
    return np.array([[float(image.abs().max()) for image in layer] for layer in kept.values()])


def test_rows_are_the_largest_activations_of_clean_images_and_of_those_that_drift_attacks(
    some_digits, trained, hardened, tmp_path
):
    table, _ = measured(some_digits, hardened, trained, tmp_path)
    model, clean, moved = as_drift_attacks(some_digits, hardened, trained)
    assert len(table) == 2 * 7 * 12 and list(dict.fromkeys(table["layer"])) == LAYERS
    for attack, images in (("clean", clean), ("weak", moved)):
        rows = table[table["attack"] == attack]
        found = rows["largest"].to_numpy().reshape(7, 12)
        np.testing.assert_allclose(found, slowly(model, images), rtol=1e-5)
        assert set(rows["through"]) == ({None} if attack == "clean" else {"plain"})
        assert rows["eps"].tolist() == [0 if attack == "clean" else 32 / 255] * 84
    ids = table["id"].to_numpy().reshape(14, 12)
    assert (ids == ids[0]).all() and (np.diff(ids[0]) > 0).all()


def test_the_images_are_those_of_drift(some_digits, trained, tmp_path):
    _, clean, moved = as_drift_attacks(some_digits, trained, trained)
    columns = drift(
        evaluation(trained, some_digits), dict.fromkeys(("through", "base"), trained), KEYS, OPTIONS, 12, tmp_path / "r"
    )
    with torch.no_grad():
        a, b = (Features(models.load(trained)[0])(images).double() for images in (moved, clean))
    np.testing.assert_allclose(columns["mse"], (a - b).square().mean((1, 2)), rtol=1e-4)


def test_the_surface_holds_all_activations_of_the_first_image(some_digits, trained, tmp_path):
    table, surface = measured(some_digits, trained, trained, tmp_path)
    assert len(surface) == 2 * 7 * 17 and set(surface["id"]) == {table["id"].min()}
    first = table[table["id"] == table["id"].min()].set_index(["attack", "layer"])["largest"]
    for key, rows in surface.groupby(["attack", "layer"], sort=False):
        assert rows["token"].tolist() == list(range(17)) and len(rows["activations"].iloc[0]) == 128
        assert max(line.max() for line in rows["activations"]) == pytest.approx(first[key], rel=1e-4)


def test_batches_and_a_resumed_job_change_nothing(some_digits, trained, hardened, tmp_path, monkeypatch):
    expected, _ = measured(some_digits, hardened, trained, tmp_path)
    found, _ = measured(some_digits, hardened, trained, tmp_path, batch=5)
    np.testing.assert_allclose(found["largest"], expected["largest"], rtol=1e-4)
    one = Measured(evaluation(hardened, some_digits), trained, KEYS, OPTIONS, 12)
    batch, calls = one._batch, []

    def dies_in_the_second(given):
        calls.append(len(given.ids))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch(given)

    monkeypatch.setattr(one, "_batch", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        list(one.largest(tmp_path / "resume"))
    again = Measured(evaluation(hardened, some_digits), trained, KEYS, OPTIONS, 12)
    rows = np.concatenate([part["largest"] for part in again.largest(tmp_path / "resume")])
    np.testing.assert_allclose(rows, expected["largest"])
    assert any("resuming: 1 of 2 batches are done" in text for text in again.opened.job.said)


def test_a_network_without_blocks_is_refused_before_anything_is_attacked(some_digits, trained, tmp_path):
    about = models.weights.read(trained)[1] | {"arch": "resnet8"}
    models.save(tmp_path / "r.safetensors", models.create("resnet8", 10, 32, about["mean"], about["std"], 0), about)
    with pytest.raises(ValueError, match="CifarResNet is no vision transformer of timm"):
        Measured(evaluation(tmp_path / "r.safetensors", some_digits), trained, KEYS, OPTIONS, 12)
