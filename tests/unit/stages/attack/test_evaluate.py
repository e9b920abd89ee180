"""The attack stage: every image once, answers that no batch size changes, targets that are never the label."""

import itertools
import math
import re
import tempfile
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mettle import models, schema, tables
from mettle.data import digits, write
from mettle.data.store import Store
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.perturb import losses
from mettle.plan.figures import FIGURES
from mettle.stages.attack import evaluate, flags
from mettle.stages.tabulate.accuracy import accuracy as tabulated
from mettle.stages.tabulate.accuracy import summarise
from mettle.tasks.classification import CLASSIFICATION

N = 60
KEYS = {"dataset": "digits", "split": "test", "model": "m", "attack": "pgd"}
JOB = types.SimpleNamespace(
    seed=0,
    threads=1,
    needs_cuda=False,
    say=lambda text: None,
    progress=lambda items, *rest: items,
    provenance={"revision": 1},
)


def options(**other):
    base = {"method": "pgd", "norm": "l2", "eps": 1.0} | other
    return schema.check(base | ({} if "method" in other else {"steps": 4}) | other, f"attacks/{base['method']}", "here")


@pytest.fixture(scope="module")
def store(digit_store):
    return digit_store


@pytest.fixture(scope="module")
def weights(checkpoints):
    return checkpoints / "epoch-010.safetensors"


def evaluation(weights, store, batch=16, job=JOB):
    return Evaluation(weights, store, "digits", "fp32", batch, job)


def run(weights, store, batch=16, job=JOB, **other):
    with tempfile.TemporaryDirectory() as resume:
        return pd.DataFrame(evaluate.evaluate(evaluation(weights, store, batch, job), KEYS, options(**other), resume))


def accuracy(frame, column):
    return (frame[column] == frame["label"]).mean()


def test_one_row_per_image_in_the_order_of_the_store(weights, store, tmp_path):
    columns = evaluate.evaluate(evaluation(weights, store, 16, JOB), KEYS, options(), tmp_path / "resume")
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


def test_margin_in_closed_form(weights, store):
    logits, labels = torch.tensor([[3.0, 1.0, 2.5], [0.0, 5.0, 4.0]]), torch.tensor([0, 2])
    assert losses.margin(logits, labels).tolist() == [0.5, -1.0]
    assert losses.likeliest(logits, labels).tolist() == [[2, 1], [1, 0]]
    assert run(weights, store)["margin"].dtype == np.float64


@pytest.mark.parametrize("result", [lambda x: (x + 0.9).clamp(0, 1), lambda x: x - 0.01, lambda x: x * torch.nan])
def test_an_attack_that_leaves_its_ball_is_a_bug(weights, store, monkeypatch, result):
    def escape(model, images, labels, **rest):
        return torch.cat([images[:2], result(images[2:])]), torch.ones(len(images), dtype=torch.long)

    monkeypatch.setitem(evaluate.ATTACKS, "pgd", types.SimpleNamespace(run=escape))
    expected = (
        r"^this is a bug: pgd left the l2 ball of radius 1 or the pixel range at images 2, 3, 4, 5, 6 and 8 more$"
    )
    with pytest.raises(RuntimeError, match=expected):
        run(weights, store)


METHODS = {
    "ddn": {"steps": 5},
    "fmn": {"steps": 5},
    "pgd": {"steps": 3},
    "apgd": {"steps": 5, "loss": "dlr"},
    "fab": {"steps": 3, "targets": 2},
    "square": {"queries": 10},
    "autoattack": {"steps": 2, "targets": 2, "queries": 5},
}


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize(("engine", "eps"), [("mettle", 0.0), ("mettle", 0.5), ("pyautoattack", 0.5)])
def test_every_method_by_every_engine_fills_the_table(weights, store, tmp_path, method, engine, eps):
    engines = "engine" in schema.load(f"attacks/{method}")["properties"]
    if not engines and engine == "pyautoattack":
        with pytest.raises(ValueError, match=r"^here: unknown key 'engine'"):
            options(method=method, engine=engine)
        return
    other = METHODS[method] | ({"engine": engine} if engines else {})
    found = run(weights, store, method=method, eps=eps, **other)
    tables.write(tmp_path / "a.parquet", tables.ATTACK, found, {"rule": "attack"})
    assert len(found) == N
    assert found["distance"].max() <= eps
    wrong = found["clean_prediction"] != found["label"]
    assert (found["prediction"] != found["label"])[wrong].all()
    assert (found["distance"][wrong] == 0).all()
    if eps == 0:
        assert found["prediction"].equals(found["clean_prediction"])


def test_every_attack_has_options_and_every_option_an_attack():
    assert set(schema.load("attacks")["$defs"]) == set(evaluate.ATTACKS) == set(METHODS)


# What is killed goes on


def test_a_killed_evaluation_goes_on_with_the_same_result(weights, store, tmp_path, monkeypatch):
    here = (evaluation(weights, store), KEYS, options())
    whole = pd.DataFrame(evaluate.evaluate(*here, tmp_path / "whole"))
    real, attacked = evaluate.attack_batch, []

    def dies(opened, batch, *rest):
        if len(attacked) == 2:
            raise SystemExit(143)
        attacked.append(batch.ids)
        return real(opened, batch, *rest)

    monkeypatch.setattr(evaluate, "attack_batch", dies)
    with pytest.raises(SystemExit):
        evaluate.evaluate(*here, tmp_path / "resume")
    said = []
    job = types.SimpleNamespace(**vars(JOB) | {"say": said.append})
    monkeypatch.setattr(evaluate, "attack_batch", lambda *given: attacked.append(given[1].ids) or real(*given))
    again = evaluate.evaluate(evaluation(weights, store, job=job), *here[1:], tmp_path / "resume")
    pd.testing.assert_frame_equal(pd.DataFrame(again), whole)
    shares = [(whole[key] == whole["label"]).mean() for key in ("prediction", "clean_prediction")]
    assert said.pop(1).startswith("computes on CPU in fp32: ")
    assert said[0].startswith("resuming: 2 of 4 batches: accuracy ")
    last = f"4 of 4 batches: accuracy {shares[0]:.4f} of {len(whole)} images, clean {shares[1]:.4f}"
    assert len(said) == 3 and said[-1] == last
    assert sorted(itertools.chain(*attacked)) == Store(store).ids.tolist(), "a batch was attacked twice or never"
    assert not (tmp_path / "resume").exists()


def test_the_log_has_what_stands_after_each_member_of_the_second_engine(weights, store, tmp_path):
    said = []
    job = types.SimpleNamespace(**vars(JOB) | {"say": said.append})
    given = METHODS["autoattack"] | {"method": "autoattack", "norm": "linf", "eps": 0.02, "images": 20}
    given |= {"attacks": ["apgd_ce", "square"], "engine": "pyautoattack"}
    rules = schema.check(given, "attacks/autoattack", "here")
    found = evaluate.evaluate(evaluation(weights, store, 20, job), KEYS, rules, tmp_path / "resume")
    members = [line for line in said if "robust accuracy after" in line]
    assert [line.split("after ")[1].split(":")[0] for line in members] == ["APGD-CE", "SQUARE"]
    left = (np.array(found["prediction"]) == np.array(found["label"])).mean()
    assert members[1].startswith(f"batch 1 of 1: robust accuracy after SQUARE: {left:.2%}")


def test_the_log_has_what_stands_after_each_member(weights, store, tmp_path):
    said = []
    job = types.SimpleNamespace(**vars(JOB) | {"say": said.append})
    given = {"method": "autoattack", "norm": "linf", "eps": 0.02, "steps": 2, "queries": 3, "images": 20}
    rules = schema.check(given | {"attacks": ["apgd_ce", "square"]}, "attacks/autoattack", "here")
    found = evaluate.evaluate(evaluation(weights, store, 20, job), KEYS, rules, tmp_path / "resume")
    left = int((np.array(found["prediction"]) == np.array(found["label"])).sum())
    assert said.pop(0) == "computes on CPU in fp32: 20 images in batches of 20, 1 threads"
    assert [line.partition(":")[0] for line in said[:2]] == ["batch 1 of 1"] * 2
    assert re.fullmatch(r"batch 1 of 1: after apgd_ce \d+ of 20 images remain", said[0])
    assert said[1] == f"batch 1 of 1: after square {left} of 20 images remain"
    assert said[2].startswith(f"1 of 1 batches: accuracy {left / 20:.4f} of 20 images, clean ")


STEPS = {
    "pgd": {"pgd, start 1 of 2": 3, "pgd, start 2 of 2": 3},
    "apgd": {"apgd ce, run 1": 4, "apgd ce, run 2": 4},
    "fab": {"fab, target 1 of 1, start 1": 3},
    "square": {"square": 4},
}


@pytest.mark.parametrize("method", STEPS)
def test_every_attack_counts_its_steps_within_the_batch(weights, store, tmp_path, method):
    """Of the last image that stands: a run ends when none does."""
    given = {"pgd": {"steps": 3, "restarts": 2, "early_stop": False}, "square": {"queries": 5}}
    given |= {"apgd": {"steps": 3, "restarts": 2, "early_stop": False}, "fab": {"steps": 3, "targets": 1}}
    counted, said = {}, []

    def progress(items, text, total=None):
        for item in items:
            counted[text] = counted.get(text, 0) + 1
            yield item

    job = types.SimpleNamespace(**vars(JOB) | {"say": said.append, "progress": progress})
    own = {"method": method, "norm": "linf", "eps": 1e-6, "images": 5} | given[method]
    rules = schema.check(own, f"attacks/{method}", "here")
    evaluate.evaluate(evaluation(weights, store, 5, job), KEYS, rules, tmp_path / "resume")
    assert counted == {"attack": 1} | STEPS[method]
    assert said[0] == "computes on CPU in fp32: 5 images in batches of 5, 1 threads"


@pytest.mark.parametrize("change", ["options", "seed", "batch", "precision"])
def test_answers_of_another_origin_are_not_taken(weights, store, tmp_path, monkeypatch, change):
    real = evaluate.attack_batch

    def dies(*given):
        if any(tmp_path.rglob("0.npz")):
            raise SystemExit(143)
        return real(*given)

    monkeypatch.setattr(evaluate, "attack_batch", dies)
    with pytest.raises(SystemExit):
        evaluate.evaluate(evaluation(weights, store), KEYS, options(), tmp_path)
    monkeypatch.setattr(evaluate, "attack_batch", real)
    said = []
    seed = 1 if change == "seed" else 0
    job = types.SimpleNamespace(**vars(JOB) | {"seed": seed, "say": said.append})
    given = options(steps=3) if change == "options" else options()
    precision, batch = "bf16" if change == "precision" else "fp32", 20 if change == "batch" else 16
    evaluate.evaluate(replace(evaluation(weights, store, batch, job), precision=precision), KEYS, given, tmp_path)
    assert len(said) and not said[0].startswith("resuming")


# Bad input and doubtful models


class Outputs(nn.Module):
    """A model whose logits are a function of those of a linear one."""

    def __init__(self, change, classes=10):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.change = nn.Linear(3 * 8 * 8, classes), change

    def forward(self, x):
        return self.change(self.linear(x.flatten(1)), x)


def batch_of(n=6):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, 8, 8, generator=generator), torch.arange(n), [100 + i for i in range(n)]


def attack_of(model, images=None, labels=None, **other):
    x, y, ids = batch_of()
    x, y = x if images is None else images, y if labels is None else labels
    opened = Opened(evaluation(None, None), model, None, models.policy(1), CLASSIFICATION)
    return evaluate.attack_batch(opened, Batch(x, y, ids), options(**other))


FLAGGED = {
    "probabilities": lambda logits, x: logits.softmax(1),
    "randomised": lambda logits, x: logits + torch.randn_like(logits),
    "gradient_zero": lambda logits, x: logits.detach() + 0 * x.sum(),
}


@pytest.mark.parametrize("flag", sorted(FLAGGED))
def test_a_doubtful_model_is_flagged_and_told_what_to_do(flag):
    columns = attack_of(Outputs(FLAGGED[flag]))
    assert {key: columns[key].tolist() for key in FLAGGED} == {key: [key == flag] * 6 for key in FLAGGED}
    assert flags.note(columns) == flags.ADVICE[flag]
    sound = attack_of(Outputs(lambda logits, x: logits))
    assert not any(sound[key].any() for key in FLAGGED)
    assert flags.note(sound) is None
    assert flags.note(columns | {flag: np.arange(6) > 0}) is None, "one sound image and the model is not at fault"


def test_flags_reach_the_table_of_accuracies():
    frame = answers("a", "pgd", 3, 8).assign(probabilities=np.arange(8) < 2, randomised=True, note="do this")
    clean, attacked = summarise(frame)
    assert clean["note"] is None
    expected = (
        "randomised output for 100.0% of the images; outputs that look like probabilities for 25.0% of the images"
    )
    assert attacked["note"] == f"{expected}; do this"


@pytest.mark.parametrize("value", [-0.2, 1.5, torch.nan])
def test_images_outside_the_pixel_range_are_refused(value):
    x, _, _ = batch_of()
    x[[1, 4], 0, 0, 0] = value
    expected = r"^images 101, 104 hold values outside \[0, 1\], the range of pixels here \(not \[0, 255\]\)$"
    with pytest.raises(ValueError, match=expected):
        attack_of(Outputs(FLAGGED["probabilities"]), images=x)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_are_no_classes_are_refused(label):
    _, y, _ = batch_of()
    y[3] = label
    with pytest.raises(ValueError, match=r"^image 103: the label is none of the model's classes, 0 to 9$"):
        attack_of(Outputs(lambda logits, x: logits), labels=y)


def test_logits_that_are_nan_are_an_error():
    x, _, _ = batch_of()
    model = Outputs(lambda logits, images: logits.where(images[:, :1, 0, 0] != x[2, 0, 0, 0], torch.nan))
    with pytest.raises(ValueError, match=r"^the model's logits of image 102 hold NaN or infinite values$"):
        attack_of(model)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_nan_on_the_way_is_an_error_and_not_robustness(method):
    x, _, _ = batch_of()
    y = Outputs(lambda logits, images: logits)(x).argmax(1)

    def change(logits, images):
        clean = (images[:, None] == x[None]).flatten(2).all(2).any(1)
        return logits.where(clean[:, None], torch.nan)

    with pytest.raises(ValueError, match=r"^the model's logits of images 100, 101, 102, 103, 104 and 1 more hold NaN"):
        attack_of(Outputs(change), labels=y, method=method, **METHODS[method])


def test_a_gradient_that_is_nan_is_an_error():
    def change(logits, x):
        root = (x.flatten(1).sum(1) - x.flatten(1).sum(1).detach()).clamp_min(0).sqrt()  # finite, but steep
        return logits + root[:, None]

    with pytest.raises(
        ValueError, match=r"^the model's gradients of images 100, 101, 102, 103, 104 and 1 more hold NaN"
    ):
        attack_of(Outputs(change))


# The table of accuracies


def answers(model, name, correct, n, clean=None, eps=1.0):
    """Rows of the attack table with a given number of correct answers."""
    label = np.zeros(n, int)
    rows = {"dataset": "d", "split": "test", "model": model, "attack": name, "norm": "l2", "eps": eps, "label": label}
    rows["id"] = np.arange(n)
    clean = n if clean is None else clean
    rows |= {"prediction": (np.arange(n) >= correct) * 1, "clean_prediction": (np.arange(n) >= clean) * 1}
    rows |= dict.fromkeys(("gradient_zero", "randomised", "probabilities"), False) | {"note": None}
    return pd.DataFrame(rows)


def wilson(k, n, z=1.959963984540054):
    p = k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


@pytest.mark.parametrize(("correct", "n"), [(0, 40), (1, 40), (13, 40), (40, 40), (1, 1), (4321, 10000)])
def test_share_and_interval_in_closed_form(correct, n):
    _, row = summarise(answers("a", "pgd", correct, n))
    assert row["value"] == pytest.approx(correct / n, abs=1e-15)
    assert (row["lo"], row["hi"]) == pytest.approx(wilson(correct, n), abs=1e-12)
    assert (row["n"], row["note"], row["measure"]) == (n, None, "accuracy")


def test_clean_stands_once_per_model():
    parts = [("a", "pgd", 10), ("a", "pgd_long", 5), ("b", "pgd", 20), ("b", "pgd_long", 0)]
    frame = pd.concat([answers(model, name, k, 40, 36 if model == "a" else 30) for model, name, k in parts])
    found = summarise(frame)
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
    tables.write(
        tmp_path / "accuracy.parquet", FIGURES["accuracy"].table, tabulated(frame, {"per_class": False}, []), {}
    )
    found = tables.read(tmp_path / "accuracy.parquet", FIGURES["accuracy"].table)
    assert found["attack"].tolist() == ["clean", "pgd", "worst_case"]
    attacked = accuracy(frame, "prediction")
    assert found["value"].tolist() == [accuracy(frame, "clean_prediction"), attacked, attacked]
    assert found["n"].tolist() == [N] * 3


def test_a_number_of_images_is_a_choice_that_all_models_share(weights, store):
    whole, some = run(weights, store, early_stop=False), run(weights, store, images=20, early_stop=False)
    assert len(some) == 20 and some["id"].is_monotonic_increasing and set(some["id"]) < set(whole["id"])
    again = run(weights, store, images=20, steps=1)
    assert again["id"].tolist() == some["id"].tolist()
    kept = whole[whole["id"].isin(some["id"])]
    assert kept["prediction"].tolist() == some["prediction"].tolist()
    assert len(run(weights, store, images=10_000)) == N
