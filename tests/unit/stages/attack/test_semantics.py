"""Perturbations: the attack's own difference, and the answers of several models to them."""

import pandas as pd
import torch

from mettle import data, models, schema, tables
from mettle.data.store import Store
from mettle.evaluation import Evaluation
from mettle.stages.attack import semantics

KEYS = {"dataset": "digits", "model": "m", "attack": "pgd"}


def attack():
    given = {"method": "pgd", "norm": "linf", "eps": 0.1, "steps": 5}
    return schema.check(given, "attacks/pgd", "here")


def on(weights, store, job):
    return Evaluation(weights, store, "digits", "fp32", 8, job)


def perturbed(checkpoints, digit_store, job, sample=20):
    weights = checkpoints / "epoch-010.safetensors"
    return semantics.perturbations(on(weights, digit_store, job), attack(), sample)


def test_batches_hold_clean_and_attacked_images_of_the_sample(checkpoints, digit_store, job):
    *parts, flagged = zip(*perturbed(checkpoints, digit_store, job), strict=True)
    ids, clean, found = map(torch.cat, parts)
    assert sum(part["randomised"].count(False) for part in flagged) == 20
    store = Store(digit_store)
    assert len(ids) == 20 == len(set(ids.tolist()))
    position = {int(image): place for place, image in enumerate(store.ids)}
    expected = torch.from_numpy(store.arrays([position[int(image)] for image in ids])).permute(0, 3, 1, 2) / 255
    assert torch.allclose(clean, expected)
    assert 0.05 < (found - clean).abs().max() <= 0.1 + 1e-7


def test_judges_classify_every_perturbation(checkpoints, digit_store, job, tmp_path):
    batches = perturbed(checkpoints, digit_store, job)
    paths = tmp_path / "p.lmdb", tmp_path / "p.parquet"
    about = {"kind": "perturbation", "eps": 0.1, "norm": "linf", "provenance": None}
    data.write_perturbed(*paths, Store(digit_store), batches, **about)
    judges = {"my.net_v2": checkpoints / "epoch-000.safetensors", "other": checkpoints / "epoch-010.safetensors"}
    keys = KEYS | {"norm": "linf", "eps": 0.1}
    columns = semantics.classify(judges, on(None, paths[0], job), keys)
    tables.write(tmp_path / "s.parquet", tables.SEMANTICS, columns)
    frame = pd.DataFrame(columns)
    assert frame.groupby("model_b").size().to_dict() == {"my.net_v2": 20, "other": 20}
    store = Store(paths[0])
    model, _ = models.load(checkpoints / "epoch-010.safetensors")
    x = torch.from_numpy(store.arrays()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = model(x).argmax(1).tolist()
    assert frame[frame["model_b"] == "other"]["prediction"].tolist() == expected
    assert frame[frame["model_b"] == "other"]["label"].tolist() == store.labels.tolist()
