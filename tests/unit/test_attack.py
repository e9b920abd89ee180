"""The attack stage: every image once, answers that no batch size changes, targets that are never the label."""

import itertools
import math
import tempfile
import types

import numpy as np
import pandas as pd
import pytest
import torch

from mettle import models, schema, tables
from mettle.attack import evaluate, summary
from mettle.data import digits, write
from mettle.data.store import Store

N = 53
KEYS = {"dataset": "digits", "split": "test", "model": "m", "attack": "pgd"}
MEAN, STD = [0.5] * 3, [0.25] * 3
ABOUT = {"arch": "resnet8", "classes": 10, "size": 32, "resize": None, "mean": MEAN, "std": STD}
JOB = types.SimpleNamespace(seed=0, threads=1, say=lambda text: None, progress=lambda items, *rest: items)


def options(**other):
    base = {"method": "pgd", "norm": "l2", "eps": 1.0, "steps": 4, "datasets": ["digits"]}
    return schema.check(base | other, "attacks/pgd", "here")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    items = itertools.islice(digits.read(None, "test", 10, 0), N)
    write(folder / "test.lmdb", folder / "test.parquet", items)
    return folder / "test.lmdb"


@pytest.fixture(scope="module")
def weights(store, tmp_path_factory):
    """A model that knows most of the images: a few steps on them."""
    held = Store(store)
    x = torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(held.labels)
    models.policy(1)
    model = models.create("resnet8", 10, 32, MEAN, STD, 0).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:45]), y[:45]).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("model") / "weights.safetensors"
    models.save(path, model, ABOUT | {"threat": "none", "eps": 0.0})
    return path


def run(weights, store, batch=16, job=JOB, **other):
    with tempfile.TemporaryDirectory() as resume:
        return pd.DataFrame(evaluate.evaluate(weights, store, KEYS, options(**other), "fp32", batch, resume, job))


def accuracy(frame, column):
    return (frame[column] == frame["label"]).mean()


def test_one_row_per_image_in_the_order_of_the_store(weights, store, tmp_path):
    columns = evaluate.evaluate(weights, store, KEYS, options(), "fp32", 16, JOB)
    assert {len(values) for values in columns.values()} == {N}
    assert columns["id"].tolist() == Store(store).ids.tolist()
    assert columns["label"].tolist() == Store(store).labels.tolist()
    tables.write(tmp_path / "a.parquet", tables.ATTACK, columns, {"rule": "attack"})
    assert len(tables.read(tmp_path / "a.parquet", tables.ATTACK)) == N
    assert {columns[key][0] for key in ("norm", "eps", "note", "model")} == {"l2", 1.0, None, "m"}


@pytest.mark.parametrize(("norm", "eps"), [("l2", 1.0), ("linf", 0.05)])
@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("early_stop", [True, False])
def test_an_attack_hurts_and_stays_in_its_ball(weights, store, norm, eps, random_start, early_stop):
    found = run(weights, store, norm=norm, eps=eps, random_start=random_start, early_stop=early_stop)
    assert accuracy(found, "clean_prediction") > 0.8
    assert accuracy(found, "prediction") < accuracy(found, "clean_prediction") - 0.1
    assert 0 <= found["distance"].min() <= found["distance"].max() <= eps
    assert found["distance"].max() > 0.5 * eps
    fooled = found["prediction"] != found["label"]
    assert (found["margin"][fooled] <= 0).all()
    assert (found["margin"][~fooled] >= 0).all()
    # Whom the clean image fools, the attack need not touch; nobody gets better.
    assert fooled[found["clean_prediction"] != found["label"]].all()
    assert np.isfinite(found[["clean_loss", "loss", "margin", "distance"]].to_numpy()).all()
    assert (found["queries"] >= 1).all()


@pytest.mark.parametrize("target", ["none", "random", "least_likely"])
def test_batch_size_does_not_matter(weights, store, target):
    first, second = (run(weights, store, batch, target=target) for batch in (7, 50))
    exact = ["id", "label", "clean_prediction", "prediction", "queries"]
    pd.testing.assert_frame_equal(first[exact], second[exact])
    # Rounding differs with the shape of a batch, and a gradient step can make more of it.
    np.testing.assert_allclose(first["clean_loss"], second["clean_loss"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first["margin"], second["margin"], rtol=1e-2, atol=1e-2)


def test_clean_columns_are_the_models_answer(weights, store):
    found, (model, _) = run(weights, store), models.load(weights)
    x = torch.from_numpy(Store(store).arrays()).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = model(x).double()
    assert found["clean_prediction"].tolist() == logits.argmax(1).tolist()
    expected = logits.logsumexp(1) - logits[torch.arange(N), Store(store).labels]
    np.testing.assert_allclose(found["clean_loss"], expected, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_the_random_starts(weights, store):
    first, again = run(weights, store, steps=1), run(weights, store, steps=1)
    pd.testing.assert_frame_equal(first, again)
    other = run(weights, store, steps=1, job=types.SimpleNamespace(**vars(JOB) | {"seed": 1}))
    assert not first["loss"].equals(other["loss"])


@pytest.mark.parametrize("other", [{"eps": 0.0}, {"steps": 0, "random_start": False}, {"eps": 0.0, "steps": 0}])
def test_an_attack_that_may_do_nothing_does_nothing(weights, store, other):
    found = run(weights, store, **other)
    assert (found["distance"] == 0).all()
    assert found["prediction"].equals(found["clean_prediction"])
    np.testing.assert_allclose(found["loss"], found["clean_loss"], rtol=1e-6, atol=1e-7)


def test_no_steps_from_a_random_start_is_noise(weights, store):
    found = run(weights, store, steps=0)
    assert (found["distance"] > 0).any()
    assert found["distance"].max() <= 1
    assert accuracy(found, "prediction") <= accuracy(found, "clean_prediction")


def test_a_batch_of_one_image(weights, store, tmp_path):
    whole = run(weights, store)
    items = itertools.islice(digits.read(None, "test", 10, 0), 1)
    write(tmp_path / "one.lmdb", tmp_path / "one.parquet", items)
    found = run(weights, tmp_path / "one.lmdb", batch=1)
    assert len(found) == 1
    assert found["prediction"][0] == whole["prediction"][0]
    assert found["clean_loss"][0] == pytest.approx(whole["clean_loss"][0], rel=1e-4, abs=1e-6)


def test_targets_are_never_the_label():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(500, 10, generator=generator), torch.randint(10, (500,), generator=generator)
    logits[:100].scatter_(1, labels[:100, None], -99.0)  # the label is the least likely class
    ids = list(range(1000, 1500))
    assert evaluate.choose_targets("none", logits, labels, ids, 0) is None
    for target in ("random", "least_likely"):
        found = evaluate.choose_targets(target, logits, labels, ids, 0)
        assert (found != labels).all()
        assert found.min() >= 0
        assert found.max() <= 9
        half = evaluate.choose_targets(target, logits[250:], labels[250:], ids[250:], 0)
        assert torch.equal(half, found[250:]), "a target depends on the other images of its batch"
    least = evaluate.choose_targets("least_likely", logits, labels, ids, 0)
    rank = (logits < logits.gather(1, least[:, None])).sum(1)
    assert set(rank[:100].tolist()) == {1}
    assert rank[100:].max() <= 1
    drawn = evaluate.choose_targets("random", logits, labels, ids, 0)
    counts = torch.bincount((drawn - labels) % 10, minlength=10)
    assert counts[0] == 0
    assert counts[1:].min() > 30, "not uniform over the other classes"
    assert not torch.equal(drawn, evaluate.choose_targets("random", logits, labels, ids, 1))


def test_two_classes_leave_one_target():
    labels = torch.tensor([0, 1, 1, 0])
    for target in ("random", "least_likely"):
        assert torch.equal(evaluate.choose_targets(target, torch.zeros(4, 2), labels, range(4), 0), 1 - labels)


def test_margin_in_closed_form():
    logits, labels = torch.tensor([[3.0, 1.0, 2.5], [0.0, 5.0, 4.0]]), torch.tensor([0, 2])
    assert evaluate.margin(logits, labels).tolist() == [0.5, -1.0]
    assert evaluate.margin(logits, labels).dtype == torch.float64


def test_an_attack_that_leaves_its_ball_is_a_bug(weights, store, monkeypatch):
    def escape(model, images, labels, **rest):
        return (images + 0.9).clamp(0, 1), torch.ones(len(images), dtype=torch.long)

    monkeypatch.setitem(evaluate.ATTACKS, "pgd", types.SimpleNamespace(run=escape))
    with pytest.raises(RuntimeError, match=r"^pgd left the l2 ball of radius 1\.0 or the pixel range: this is a bug$"):
        run(weights, store)


# The table of accuracies


def answers(model, name, correct, n, clean=None, eps=1.0):
    """Rows of the attack table with a given number of correct answers."""
    label = np.zeros(n, int)
    rows = {"dataset": "d", "split": "test", "model": model, "attack": name, "norm": "l2", "eps": eps, "label": label}
    clean = n if clean is None else clean
    rows |= {"prediction": (np.arange(n) >= correct) * 1, "clean_prediction": (np.arange(n) >= clean) * 1}
    return pd.DataFrame(rows)


def wilson(k, n, z=1.959963984540054):
    p = k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


@pytest.mark.parametrize(("correct", "n"), [(0, 40), (1, 40), (13, 40), (40, 40), (1, 1), (4321, 10000)])
def test_share_and_interval_in_closed_form(correct, n):
    _, row = summary.summarise(answers("a", "pgd", correct, n))
    assert row["value"] == pytest.approx(correct / n, abs=1e-15)
    assert (row["lo"], row["hi"]) == pytest.approx(wilson(correct, n), abs=1e-12)
    assert (row["n"], row["note"], row["measure"]) == (n, None, "accuracy")


def test_clean_stands_once_per_model():
    parts = [("a", "pgd", 10), ("a", "pgd_long", 5), ("b", "pgd", 20), ("b", "pgd_long", 0)]
    frame = pd.concat([answers(model, name, k, 40, 36 if model == "a" else 30) for model, name, k in parts])
    found = summary.summarise(frame)
    assert [(row["model"], row["attack"], row["value"]) for row in found] == [
        ("a", "clean", 0.9),
        ("a", "pgd", 0.25),
        ("a", "pgd_long", 0.125),
        ("b", "clean", 0.75),
        ("b", "pgd", 0.5),
        ("b", "pgd_long", 0.0),
    ]
    clean = [row for row in found if row["attack"] == "clean"]
    assert {(row["norm"], row["eps"]) for row in clean} == {(None, 0.0)}
    assert (clean[0]["lo"], clean[0]["hi"]) == pytest.approx(wilson(36, 40))


def test_summary_fits_its_table(weights, store, tmp_path):
    tables.write(tmp_path / "attack.parquet", tables.ATTACK, run(weights, store), {"rule": "attack"})
    frame = tables.concat([tmp_path / "attack.parquet"], tables.ATTACK)
    tables.write(tmp_path / "accuracy.parquet", tables.ACCURACY, summary.summarise(frame), {"rule": "accuracy"})
    found = tables.read(tmp_path / "accuracy.parquet", tables.ACCURACY)
    assert found["attack"].tolist() == ["clean", "pgd"]
    assert found["value"].tolist() == [accuracy(frame, "clean_prediction"), accuracy(frame, "prediction")]
    assert found["n"].tolist() == [N, N]
