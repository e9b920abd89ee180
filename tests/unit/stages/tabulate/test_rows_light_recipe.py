"""Tables of figures 7 to 11: means, gaps and intervals by hand, published values beside ours."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mettle import data, tables
from mettle.data.item import Item, png
from mettle.plan.figures import FIGURES
from mettle.stages import tabulate
from mettle.stages.tabulate import accuracy, light_recipe

RUN = {"dataset": "d", "split": "test", "model": "a-b-s0", "norm": "l2", "eps": 0.5}
NONE = {"lo": None, "hi": None, "note": None}
SOUND = dict.fromkeys(tables.FLAGS, False)
LABELS = {"labels": {"a-b-s0": "A, plain", "c": "C"}}


def effectiveness(values):
    """Rows of clean images and PGD from {(epoch, steps, seed): (accuracy, loss)}."""
    rows = []
    for (epoch, steps, seed), both in values.items():
        for measure, value in zip(("accuracy", "loss"), both, strict=True):
            where = {"attack": "pgd" if steps else "clean", "epoch": epoch, "steps": steps, "seed": seed}
            where |= {"measure": measure, "n": 10}
            rows.append(RUN | where | NONE | {"value": value})
    return pd.DataFrame(rows)


def attack(model, attack, eps, correct, clean, n=10):
    """Rows of the attack table with these numbers of correct answers."""
    return pd.DataFrame(
        {
            **{key: [value] * n for key, value in (RUN | {"model": model, "attack": attack, "eps": eps}).items()},
            **dict.fromkeys(tables.FLAGS, [False] * n),
            "note": [None] * n,
            "id": list(range(n)),
            "label": [0] * n,
            "clean_prediction": [0] * clean + [1] * (n - clean),
            "prediction": [0] * correct + [1] * (n - correct),
            "distance": [eps] * n,
        }
    )


def test_figure_7_has_means_over_seeds_and_the_gap_to_most_steps():
    cells = effectiveness({(3, 0, 0): (0.9, 1.0), (3, 1, 0): (0.5, 1.5), (3, 1, 1): (0.7, 1.7), (3, 20, 0): (0.4, 2.0)})
    rows = pd.DataFrame(light_recipe.figure7(cells, LABELS, []))
    one = rows[(rows["steps"] == 1)].set_index("measure")
    assert one.loc["accuracy", ["value", "lo", "hi"]].tolist() == [pytest.approx(0.6), 0.5, 0.7]
    assert one.loc["gap", "value"] == pytest.approx((2.0 - 1.6) / 2.0)
    assert set(rows[rows["measure"] == "gap"]["steps"]) == {1}, "no gap of the most steps to themselves, none of clean"


def test_figure_7_measures_apgd_against_the_most_steps_of_pgd():
    cells = effectiveness({(3, 1, 0): (0.5, 1.5), (3, 20, 0): (0.4, 2.0)})
    runs = effectiveness({(3, 100, 0): (0.3, 2.5)}).assign(attack="apgd")
    rows = pd.DataFrame(light_recipe.figure7(pd.concat([cells, runs]), LABELS, []))
    gaps = rows[rows["measure"] == "gap"].set_index(["attack", "steps"])["value"]
    assert gaps.to_dict() == {("pgd", 1): 0.25, ("apgd", 100): -0.25}


def test_figure_7_repeats_the_published_study():
    rows = pd.DataFrame(
        light_recipe.figure7(
            effectiveness({(0, 1, 0): (1, 1)}), LABELS, ["resources/published/attack_effectiveness.csv"]
        )
    )
    last = rows[(rows["source"] != "here") & (rows["epoch"] == 99)]
    known = last.set_index(["model", "measure", "steps"])["value"].sort_index()
    # Debenedetti et al. 2023: clean, PGD-1 and PGD-200 accuracy, and relative difference of the losses
    assert known["XCiT-S12 light", "accuracy"].loc[[0, 1, 200]].tolist() == pytest.approx(
        [0.7237, 0.5198, 0.4923], abs=5e-4
    )
    assert known["XCiT-S12 canonical", "accuracy", 200] == pytest.approx(0.1917, abs=5e-4)
    assert known["XCiT-S12 light", "gap", 1] == pytest.approx(0.0676, abs=5e-4)
    assert known["XCiT-S12 canonical", "gap", 1] == pytest.approx(0.715, abs=5e-3)
    assert known["GELU ResNet-50 light", "gap", 10] == pytest.approx(0.025, abs=5e-4)


def test_figure_8_has_mean_and_deviation_over_seeds():
    losses = {(0, 0): 1.0, (0, 1): 3.0, (5, 0): 4.0, (5, 1): 4.0}
    cells = pd.DataFrame(
        [
            RUN | {"id": 7, "steps": steps, "seed": seed, "measure": "loss", "n": 1, "value": value} | NONE
            for (steps, seed), value in losses.items()
        ]
    )
    rows = pd.DataFrame(light_recipe.figure8(cells, LABELS, [])).set_index("steps")
    assert rows.loc[0, ["value", "lo", "hi"]].tolist() == pytest.approx([2, 2 - 2**0.5, 2 + 2**0.5])
    assert rows.loc[5, ["value", "lo", "hi", "n"]].tolist() == [4, 4, 4, 2]
    both = pd.DataFrame(light_recipe.figure8(cells, LABELS, ["resources/published/attack_convergence.csv"]))
    mean = both[both["source"] != "here"].groupby(["model", "steps"])["value"].mean()
    assert mean["XCiT-S12 light", 10] == pytest.approx(0.793, abs=1e-3)
    assert mean["GELU ResNet-50 light", 500] == pytest.approx(1.216, abs=1e-3)


def test_figure_9_starts_with_the_clean_accuracy():
    cells = pd.concat([attack("a-b-s0", "aa_1", 1.0, 4, 9), attack("a-b-s0", "aa_2", 2.0, 1, 9)])
    rows = pd.DataFrame(light_recipe.figure9(cells, LABELS, []))
    assert rows["eps"].tolist() == [0.0, 1.0, 2.0] and rows["value"].tolist() == [0.9, 0.4, 0.1]
    assert (rows["lo"] < rows["value"]).all() and (rows["hi"] > rows["value"]).all() and (rows["n"] == 10).all()
    both = pd.DataFrame(light_recipe.figure9(cells, LABELS, ["resources/published/autoattack_by_eps.csv"]))
    assert both[both["eps"] == 4 / 255]["value"].tolist() == [0.4178]


def test_figure_10_names_the_cells_of_the_sweep():
    cells = pd.concat([attack("a-x_1-s0", "pgd", 1.0, 4, 9), attack("a-x_2-s0", "pgd", 1.0, 6, 8)])
    values = {"a-x_1-s0": {"optimizer.lr": 1}, "a-x_2-s0": {"optimizer.lr": 2}}
    options = {"seed": 0, "cells": {"a-x_1-s0": "lr 1", "a-x_2-s0": "lr 2"}, "values": values}
    rows = pd.DataFrame(light_recipe.figure10(cells, options, []))
    found = rows.set_index(["cell", "attack"])["value"].to_dict()
    assert found == {("lr 1", "clean"): 0.9, ("lr 1", "pgd"): 0.4, ("lr 2", "clean"): 0.8, ("lr 2", "pgd"): 0.6}


def test_figure_11_has_shares_and_examples(tmp_path):
    path = tmp_path / "a-b-s0" / "pgd.lmdb"
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (0, 100, 200)]
    items = [Item(png(picture), 0, "zero", "made") for picture in pictures]
    path.parent.mkdir()
    data.write(path, path.with_suffix(".parquet"), items)
    columns = {"attack": "pgd", "model_b": ["x"] * 3 + ["y"] * 3, "id": [0, 1, 2] * 2, "label": 0} | SOUND
    cells = pd.DataFrame(RUN | columns | {"prediction": [0, 0, 1, 1, 1, 1]}).drop(columns="split")
    options = {"examples": 2, "models": ["a-b-s0"], "labels": {"a-b-s0": "A", "x": "X", "y": "Y"}}
    rows = pd.DataFrame(light_recipe.figure11(cells, options, [str(path)]))
    shares = rows[rows["measure"] == "accuracy"].set_index("model_b")["value"]
    assert shares.to_dict() == {"x": pytest.approx(2 / 3), "y": 0}
    assert rows["label"].tolist() == ["A"] * 4 and rows["label_b"].tolist() == ["X", "Y", "A", "A"]
    shown = rows[rows["measure"] == "example"]
    assert [np.asarray(Image.open(io.BytesIO(image)))[0, 0, 0] for image in shown["image"]] == [0, 200]


EPOCH = {
    "alarm": None,
    "model": "a-b-s0",
    "epoch": 3,
    "n": 40,
    "train_accuracy": 0.7,
    "test_accuracy": 0.8,
    "test_n": 20,
}
ROBUST = {"one_step_accuracy": 0.5, "robust_accuracy": 0.25, "robust_steps": 10, "robust_n": 8}


def test_figure_12_has_every_accuracy_that_was_measured():
    rows = pd.DataFrame(light_recipe.figure12(pd.DataFrame([EPOCH | ROBUST]), LABELS, []))
    found = rows.set_index(["measure", "steps"])[["value", "n"]].to_numpy().tolist()
    assert found == [[0.7, 40], [0.8, 20], [0.5, 8], [0.25, 8]]
    assert rows.loc[1:, "lo"].notna().all() and (rows.loc[1:, "hi"] > rows.loc[1:, "value"]).all()
    none = EPOCH | dict.fromkeys(ROBUST)
    assert len(light_recipe.figure12(pd.DataFrame([none]), LABELS, [])) == 2


def test_figure_12_repeats_the_published_curves():
    sheet = "resources/published/learning_curves.csv"
    rows = pd.DataFrame(light_recipe.figure12(pd.DataFrame([EPOCH | ROBUST]), LABELS, [sheet]))
    theirs = rows[rows["source"] != "here"]
    known = theirs.set_index(["model", "measure", "epoch"])["value"].astype(float)
    # Debenedetti et al. 2023: best held-out accuracy and the last of training, of S, M and L; ResNet-50's last
    best = known.xs("held out", level="measure").groupby("model").max()
    assert [best[f"XCiT-{size}12 light"] for size in "SML"] == pytest.approx([0.5472, 0.5645, 0.5714], abs=5e-5)
    assert [known[f"XCiT-{size}12 light", "training", 108] for size in "SML"] == pytest.approx(
        [0.533, 0.571, 0.66], abs=6e-4
    )
    assert known["GELU ResNet-50 light", "held out", 99] == pytest.approx(0.4996, abs=5e-5)
    assert theirs.groupby("model")["steps"].unique().map(list).to_dict() == {
        "XCiT-S12 light": [1],
        "XCiT-M12 light": [1],
        "XCiT-L12 light": [2],
        "GELU ResNet-50 light": [1],
    }
    assert set(theirs.loc[theirs["lo"].notna(), "model"]) == {"XCiT-M12 light"}, "the mean of two runs"
    assert set(rows[rows["source"] == "here"]["label"]) == {"A, plain"}
    assert (theirs["label"] == theirs["model"] + " (published)").all()


def test_accuracy_by_class_sums_up_to_that_of_all():
    cells = attack("a-b-s0", "aa", 0.5, 4, 9).assign(label=[0] * 5 + [1] * 5, prediction=[0] * 4 + [1] * 6)
    rows = pd.DataFrame(accuracy.accuracy(cells, {"per_class": True}, []))
    robust = rows[rows["attack"] == "aa"].set_index("measure")
    assert robust["n"].to_dict() == {"accuracy": 10, "accuracy of class 0": 5, "accuracy of class 1": 5}
    assert robust["value"].to_dict() == {"accuracy": 0.9, "accuracy of class 0": 0.8, "accuracy of class 1": 1.0}
    assert len(accuracy.accuracy(cells, {"per_class": False}, [])) == 3  # clean, attacked, and the worst case


def test_measured_stands_beside_published(tmp_path):
    sheet = tmp_path / "published.tsv"
    sheet.write_text(
        "model\tnorm\teps\timages\tclean\tautoattack\tsource\n"
        "a-b-s0\tl2\t0.5\td\t0.95\t0.5\tthere\nc-d-s0\tl2\t0.5\td\t0.9\t0.4\tthere\n"
    )
    rows = accuracy.compared(attack("a-b-s0", "aa", 0.5, 4, 9), {}, [str(sheet)])
    assert [row["measure"] for row in rows] == ["clean accuracy", "robust accuracy"]
    assert [row["difference"] for row in rows] == pytest.approx([-0.05, -0.1])
    assert {row["model"] for row in rows} == {"a-b-s0"}, "a model that was not evaluated has no row"
    named = accuracy.compared(attack("mine", "aa", 0.5, 4, 9), {"published_as": {"mine": "c-d-s0"}}, [str(sheet)])
    assert [(row["model"], row["published"]) for row in named] == [("mine", 0.9), ("mine", 0.4)]


LIGHT = [*(f"fig{number}" for number in range(7, 13)), "accuracy", "published", "universality_accuracy"]


@pytest.mark.parametrize("figure", LIGHT)
def test_every_tabulation_writes_its_declared_table_and_a_page(figure, tmp_path, monkeypatch):
    about = FIGURES[figure]
    assert about.made_from[0] in tables.CELLS and about.table.name == figure
    cells = {
        "attack": lambda: attack("a-b-s0", "aa", 0.5, 4, 9),
        "effectiveness": lambda: effectiveness({(0, 0, 0): (1, 1), (0, 1, 0): (1, 1), (0, 2, 0): (1, 2)}),
        "convergence": lambda: pd.DataFrame([RUN | {"id": 1, "steps": 0, "seed": 0, "value": 1.0}]),
        "epochs": lambda: pd.DataFrame([EPOCH | ROBUST]),
        "semantics": lambda: pd.DataFrame(
            [RUN | {"attack": "pgd", "model_b": "c", "id": 0, "label": 0, "prediction": 0} | SOUND]
        ),
    }[about.made_from[0].name]()
    monkeypatch.setattr(tables, "concat", lambda paths, *tables: cells)
    beside = []
    if figure in ("published", "universality_accuracy"):
        beside = [str(tmp_path / "numbers.tsv")]
        head = "model\tnorm\teps\timages\tclean\tautoattack\tsource\n"
        (tmp_path / "numbers.tsv").write_text(head + "a-b-s0\tl2\t0.5\td\t0.95\t0.5\tthere\n")
    options = {"seed": 0, "cells": {"a-b-s0": "lr 1"}, "values": {"a-b-s0": {"lr": 1}}}
    options |= {"examples": 1, "per_class": False, "models": []} | LABELS
    paths = tmp_path / "t.parquet", tmp_path / "t.html"
    tabulate.tabulate(figure, [], beside, options, *paths, {"rule": "tabulate"})
    assert len(tables.read(paths[0], about.table)) > 0
    assert "<table>" in paths[1].read_text()
