"""Attack effectiveness: every epoch, number of steps and seed once, numbers that the attack itself gives."""

import shutil
import types

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from mettle import models, tables
from mettle.data.sample import draw
from mettle.data.store import Store
from mettle.evaluation import Evaluation
from mettle.perturb import Draws, apgd, pgd_last
from mettle.perturb.goal import untargeted
from mettle.plan.figures import FIGURES
from mettle.seeds import derive
from mettle.stages.attack.effectiveness import effectiveness
from mettle.stages.tabulate import light_recipe

KEYS = {"dataset": "digits", "split": "test", "model": "m"}
OPTIONS = {"norm": "linf", "eps": 0.1, "steps": [1, 5], "seeds": 2, "images": 40, "apgd": {"steps": 8, "restarts": 2}}


def on(weights, store, job):
    return Evaluation(weights, store, "digits", "fp32", 16, job)


def run(checkpoints, digit_store, job, resume):
    found = effectiveness(on(checkpoints, digit_store, job), KEYS, OPTIONS, resume)
    return pd.DataFrame(found, dtype=object)


def test_the_log_has_the_accuracy_of_every_checkpoint(checkpoints, digit_store, job, tmp_path):
    said = []
    told = types.SimpleNamespace(**vars(job) | {"say": said.append})
    found = run(checkpoints, digit_store, told, tmp_path / "resume")
    last = found[(found["epoch"] == 10) & (found["measure"] == "accuracy")]
    means = last.groupby("steps")["value"].mean()
    expected = f"clean {means[0]:.4f}, PGD-1 {means[1]:.4f}, PGD-5 {means[5]:.4f}, APGD-8 {means[8]:.4f}"
    assert said[-1] == f"epoch-010: {expected}" and said[1].startswith("epoch-000: clean ")


@pytest.fixture(scope="module")
def rows(checkpoints, digit_store, job, tmp_path_factory):
    return run(checkpoints, digit_store, job, tmp_path_factory.mktemp("resume"))


def test_every_cell_once_on_all_images(rows, tmp_path):
    cells = rows[rows["measure"] == "accuracy"][["epoch", "attack", "steps", "seed"]].to_numpy().tolist()
    attacks = [["clean", 0, 0], *(["pgd", steps, seed] for seed in (0, 1) for steps in (1, 5)), ["apgd", 8, 0]]
    assert cells == [[epoch, *attack] for epoch in (0, 10) for attack in attacks]
    assert (rows["n"] == 40).all()
    tables.write(tmp_path / "e.parquet", tables.EFFECTIVENESS, rows.to_dict("records"))
    assert len(tables.read(tmp_path / "e.parquet", tables.EFFECTIVENESS)) == len(rows) == 24


def test_more_steps_find_a_larger_loss(rows):
    loss = (
        rows[(rows["measure"] == "loss") & (rows["epoch"] == 10)]
        .astype({"value": float})
        .groupby("steps")["value"]
        .mean()
    )
    assert loss[0] < loss[1] < loss[5]
    clean = rows[(rows["measure"] == "accuracy") & (rows["steps"] == 0)].set_index("epoch")
    assert clean.loc[10, "value"] > 0.9 > clean.loc[0, "value"]
    assert clean.loc[10, "lo"] < clean.loc[10, "value"] <= clean.loc[10, "hi"]


def test_numbers_are_those_of_the_attack(rows, checkpoints, digit_store, job):
    store = Store(digit_store)
    chosen = draw(len(store), 40, derive(job.seed, "sample", "digits"))
    x = torch.from_numpy(store.arrays(chosen)).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(store.labels[chosen])
    model, _ = models.load(checkpoints / "epoch-010.safetensors")
    draws = Draws(derive(job.seed, "effectiveness", 1), store.ids[chosen])
    ball = {"norm": "linf", "eps": 0.1, "steps": 5, "step_size": 1.5 * 0.1 / 5}
    found = pgd_last(model, x, untargeted(y), draws=draws, policy=models.policy(1), **ball)
    with torch.no_grad():
        logits = model(found).double()
    row = rows[(rows["epoch"] == 10) & (rows["steps"] == 5) & (rows["seed"] == 1)].set_index("measure")["value"]
    assert row["accuracy"] == pytest.approx((logits.argmax(1) == y).double().mean().item(), abs=0.026)
    assert row["loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=2e-2)


def test_numbers_of_apgd_are_those_of_the_attack(rows, checkpoints, digit_store, job):
    store = Store(digit_store)
    chosen = draw(len(store), 40, derive(job.seed, "sample", "digits"))
    x = torch.from_numpy(store.arrays(chosen)).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(store.labels[chosen])
    model, _ = models.load(checkpoints / "epoch-010.safetensors")
    draws = Draws(derive(job.seed, "effectiveness", 0), store.ids[chosen])
    ball = {"norm": "linf", "eps": 0.1, "steps": 8, "restarts": 2, "early_stop": False}
    found, _ = apgd(model, x, untargeted(y), draws=draws, policy=models.policy(1), **ball)
    with torch.no_grad():
        logits = model(found).double()
    last = rows[rows["epoch"] == 10].astype({"value": float})
    row = last[last["attack"] == "apgd"].set_index("measure")["value"]
    assert row["accuracy"] == pytest.approx((logits.argmax(1) == y).double().mean().item(), abs=0.026)
    assert row["loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=2e-2)
    five = last[(last["steps"] == 5) & (last["measure"] == "loss")]["value"]
    assert (row["loss"] > five).all(), "the largest loss over two runs of eight steps is above that of five"


def test_without_apgd_it_is_not_run(checkpoints, digit_store, job, tmp_path):
    options = OPTIONS | {"apgd": None, "images": 8}
    found = effectiveness(on(checkpoints, digit_store, job), KEYS, options, tmp_path / "resume")
    assert {row["attack"] for row in found} == {"clean", "pgd"}


def test_a_model_without_checkpoints_is_measured_as_it_is(checkpoints, digit_store, job, tmp_path):
    weights = shutil.copy(checkpoints / "epoch-010.safetensors", tmp_path / "weights.safetensors")
    options = OPTIONS | {"steps": [1, 2], "seeds": 1, "apgd": {"steps": 3, "restarts": 1}, "images": 8}
    found = effectiveness(on(weights, digit_store, job), KEYS, options, tmp_path / "resume")
    assert len(found) == 8 and {row["epoch"] for row in found} == {None}
    tables.write(tmp_path / "e.parquet", tables.EFFECTIVENESS, found)
    shown = light_recipe.figure7(tables.read(tmp_path / "e.parquet", tables.EFFECTIVENESS), {"labels": {"m": "m"}}, [])
    tables.write(tmp_path / "7.parquet", FIGURES["fig7"].table, shown)
    frame = tables.read(tmp_path / "7.parquet", FIGURES["fig7"].table)
    assert frame["epoch"].isna().all() and (frame["n"] == 8).all()
    assert frame[frame["measure"] == "gap"][["attack", "steps"]].to_numpy().tolist() == [["pgd", 1], ["apgd", 3]]


def test_a_folder_without_checkpoints_is_named(tmp_path, digit_store, job):
    with pytest.raises(ValueError, match=r"holds no checkpoints: set `checkpoints` of the recipe of 'm'$"):
        run(tmp_path, digit_store, job, tmp_path / "resume")


def test_a_killed_job_goes_on_with_the_checkpoints_that_are_left(rows, checkpoints, digit_store, job, tmp_path):
    class Killed(Exception):
        pass

    def one(items, text, *rest):
        if text != "checkpoints":
            return items
        return (item if item == 0 else die() for item in items)

    def die():
        raise Killed

    with pytest.raises(Killed):
        run(checkpoints, digit_store, types.SimpleNamespace(**vars(job) | {"progress": one}), tmp_path / "resume")
    seen = []

    def count(items, text, *rest):
        seen.extend(items if text == "checkpoints" else ())
        return items

    counted = types.SimpleNamespace(**vars(job) | {"progress": count})
    again = run(checkpoints, digit_store, counted, tmp_path / "resume")
    assert seen == [1] and not (tmp_path / "resume").exists()
    pd.testing.assert_frame_equal(again, rows)
