"""What casts doubt on an attack is seen by every stage that attacks, and written beside its numbers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mettle import data, schema, tables
from mettle.data.store import Store
from mettle.evaluation import Evaluation
from mettle.stages.attack import convergence, effectiveness, flags, semantics

KEYS = {"dataset": "digits", "split": "test", "model": "m"}
BALL = {"norm": "linf", "eps": 0.1}
CHANGES = {
    "probabilities": lambda logits: logits.softmax(1),
    "randomised": lambda logits: logits + 0.01 * torch.randn_like(logits),
    "gradient_zero": lambda logits: logits.detach(),
}
SAID = {
    "probabilities": "outputs that look like probabilities for 100.0% of the images",
    "randomised": "randomised output for 100.0% of the images",
    "gradient_zero": "zero gradient for 100.0% of the images",
}


class Changed(nn.Module):
    """A model whose logits are a function of those of another."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, x):
        return self.change(self.model(x)) + 0 * x.sum()


@pytest.fixture(params=sorted(CHANGES))
def doubtful(request, monkeypatch):
    """Every model that a stage opens is one of a kind that deceives attacks."""
    open_ = Evaluation.open

    def changed(evaluation, **options):
        found = open_(evaluation, **options)
        return replace(found, model=Changed(found.model, CHANGES[request.param]))

    monkeypatch.setattr(Evaluation, "open", changed)
    return request.param


def on(weights, store, job):
    return Evaluation(weights, store, "digits", "fp32", 4, job)


def follow(checkpoints, store, job):
    options = BALL | {"steps": [0, 1], "step_size": None, "seeds": 2, "images": 5}
    return convergence.convergence(on(checkpoints / "epoch-010.safetensors", store, job), KEYS, options)


def effect(checkpoints, store, job, folder):
    options = BALL | {"steps": [1, 2], "seeds": 1, "images": 10, "apgd": None}
    return effectiveness.effectiveness(on(checkpoints, store, job), KEYS, options, folder / "resume")


def perturb(checkpoints, store, job):
    attack = schema.check({"method": "pgd", "steps": 1} | BALL, "attacks/pgd", "here")
    return semantics.perturbations(on(checkpoints / "epoch-010.safetensors", store, job), attack, 6)


def test_rows_of_steps_and_seeds_say_it(doubtful, checkpoints, digit_store, job, tmp_path):
    expected = f"{SAID[doubtful]}; {flags.ADVICE[doubtful]}"
    assert {row["note"] for row in follow(checkpoints, digit_store, job)} == {expected}
    assert {row["note"] for row in effect(checkpoints, digit_store, job, tmp_path)} == {expected}


def test_perturbations_and_those_who_classify_them_bear_the_flags(doubtful, checkpoints, digit_store, job, tmp_path):
    paths = tmp_path / "p.lmdb", tmp_path / "p.parquet"
    clean = Store(digit_store)
    data.write_perturbed(*paths, clean, perturb(checkpoints, digit_store, job), "perturbation", 0.1, "linf")
    weights = {name: checkpoints / f"{name}.safetensors" for name in ("epoch-000", "epoch-010")}
    columns = semantics.classify(weights, on(None, paths[0], job), {"dataset": "digits"} | BALL)
    assert {key: columns[key] for key in tables.FLAGS} == {key: [key == doubtful] * 12 for key in tables.FLAGS}


def test_a_sound_network_leaves_no_note(checkpoints, digit_store, job, tmp_path):
    rows = [*follow(checkpoints, digit_store, job), *effect(checkpoints, digit_store, job, tmp_path)]
    assert {row["note"] for row in rows} == {None}
    assert not any(any(values) for *_, found in perturb(checkpoints, digit_store, job) for values in found.values())


def test_doubts_have_shares_and_advice_where_all_images_bear_them():
    assert flags.doubts(dict.fromkeys(tables.FLAGS, 0.0)) is None
    shares = {"gradient_zero": 0.25, "randomised": 0.0, "probabilities": 1.0}
    parts = ["zero gradient for 25.0% of the images", SAID["probabilities"], flags.ADVICE["probabilities"]]
    assert flags.doubts(shares) == "; ".join(parts)
