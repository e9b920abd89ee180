"""Every number of a table is on the images that a reader thinks, and what casts doubt on it stands beside it."""

import re

import numpy as np
import pandas as pd
import pytest

import demo
from mettle import data, tables
from mettle.data.item import Item, png
from mettle.plan.figures import FIGURES
from mettle.stages import tabulate
from mettle.stages.attack.flags import ADVICE
from mettle.stages.tabulate import accuracy, curves, light_recipe
from mettle.stats import proportion
from mettle.tables.doubts import _WORDS as WORDS

BALL = {"norm": "linf", "eps": 8 / 255}
NOTHING = {"lo": None, "hi": None, "note": None}
LABELS = {"labels": {name: name.upper() for name in ("m", "k", "a-b-s0", "c-d-s0", "c")}}


def cell(model="a-b-s0", attack="pgd", ids=range(40), dataset="d", clean=0.9, robust=0.5, eps=8 / 255, **flags):
    """Rows of the attack table: of every ten images, the first ones are right."""
    ids = np.asarray(list(ids))
    place = ids % 10 / 10
    rows = {
        "dataset": dataset,
        "split": "test",
        "model": model,
        "attack": attack,
        "norm": "linf",
        "eps": eps,
        "id": ids,
    }
    rows |= {
        "label": ids % 3,
        "clean_prediction": ids % 3 + (place >= clean),
        "prediction": ids % 3 + (place >= robust),
    }
    return pd.DataFrame(rows | dict.fromkeys(tables.FLAGS, False) | {"note": None, "distance": eps} | flags)


def summary(*cells, **options):
    return pd.DataFrame(accuracy.summarise(pd.concat(cells), **options), dtype=object)


def test_a_data_set_and_its_child_have_a_clean_row_each():
    rows = summary(cell(), cell(dataset="child", ids=range(20), clean=0.5))
    clean = rows[rows["attack"] == "clean"].set_index("dataset")
    assert clean["value"].to_dict() == {"d": 0.9, "child": 0.5} and clean["n"].to_dict() == {"d": 40, "child": 20}
    assert clean["clean"].isna().all()


def test_an_attack_on_few_images_beside_one_on_many_has_a_clean_row_and_value_of_its_own():
    easy = [number for number in range(400) if number % 10 < 9][:50]  # the clean answers to these are right
    rows = summary(cell(attack="pgd", ids=range(400)), cell(attack="autoattack", ids=easy, robust=0.4))
    assert rows[["attack", "n", "value", "clean"]].to_numpy().tolist() == [
        ["clean", 400, 0.9, None],
        ["pgd", 400, 0.5, 0.9],
        ["clean", 50, 1.0, None],
        ["autoattack", 50, pytest.approx(np.mean([number % 10 < 4 for number in easy])), 1.0],
    ]


def test_two_sets_of_as_many_images_are_two_and_one_set_in_another_order_is_one():
    rows = summary(
        cell(attack="a", ids=range(10)), cell(attack="b", ids=range(10, 20)), cell(attack="c", ids=[*range(9, -1, -1)])
    )
    assert rows["attack"].tolist() == ["clean", "a", "clean", "b", "c"]


def test_a_class_has_the_clean_value_and_the_doubts_of_its_own_images():
    answers = cell(ids=range(30)).assign(gradient_zero=lambda rows: rows["label"] == 1)
    rows = summary(answers, per_class=True).query("attack == 'pgd'").set_index("measure")
    assert rows["n"].to_dict() == {"accuracy": 30} | {f"accuracy of class {label}": 10 for label in range(3)}
    for label in range(3):
        own = answers[answers["label"] == label]
        assert rows.loc[f"accuracy of class {label}", "clean"] == (own["clean_prediction"] == label).mean()
    notes = rows["note"].to_dict()
    assert notes["accuracy"] == "zero gradient for 33.3% of the images" and notes["accuracy of class 0"] is None
    assert notes["accuracy of class 1"] == "zero gradient for 100.0% of the images"


def test_a_published_number_meets_only_its_own_data_set_and_ball(tmp_path):
    sheet = tmp_path / "published.tsv"
    sheet.write_text(
        "model\tnorm\teps\timages\tclean\tautoattack\tsource\na-b-s0\tlinf\t8/255\tchild\t0.95\t0.5\tthere\n"
    )
    cells = [cell(), cell(eps=4 / 255, dataset="child"), cell(dataset="child", ids=range(20), clean=0.7, robust=0.3)]
    rows = pd.DataFrame(accuracy.compared(pd.concat(cells), {}, [str(sheet)]))
    assert rows["dataset"].tolist() == ["child"] * 2 and rows["n"].tolist() == [20] * 2
    assert rows["value"].tolist() == [0.7, 0.3] and set(rows["eps"]) == {8 / 255}


def test_accuracy_at_the_eps_of_training_stands_beside_published_clean_accuracy(tmp_path):
    sheet = tmp_path / "published.tsv"
    sheet.write_text("model\timages\tclean\tsource\na-b-s0\td\t0.95\tthere\nc-d-s0\tchild\t0.5\tthere\n")
    cells = [
        cell(attack="pgd3_own"),
        cell(attack="pgd20_own", robust=0.4),
        cell("c-d-s0", "pgd3_own", eps=0, robust=0.9),
    ]
    rows = accuracy.own(pd.concat(cells), {}, [str(sheet)])
    frame = pd.DataFrame(rows, dtype=object).set_index(["model", "attack"])
    assert frame["value"].to_dict() == {
        ("a-b-s0", "clean"): 0.9,
        ("a-b-s0", "pgd3_own"): 0.5,
        ("a-b-s0", "pgd20_own"): 0.4,
        ("a-b-s0", "worst_case"): 0.4,
        ("c-d-s0", "clean"): 0.9,  # and no attacked row: there is no radius
    }
    one = frame.loc["a-b-s0", "clean"]
    assert (one["published"], one["difference"], one["source"]) == (0.95, pytest.approx(-0.05), "there")
    assert frame.drop(("a-b-s0", "clean"))["published"].isna().all(), "of other data sets and of attacks none is known"
    assert frame["note"].dropna().to_dict() == {
        ("c-d-s0", "clean"): "trained without an attack: no eps to be attacked at"
    }
    assert frame.loc[("a-b-s0", "pgd3_own"), ["norm", "eps", "clean"]].tolist() == ["linf", 8 / 255, 0.9]
    tables.write(tmp_path / "t.parquet", FIGURES["universality_accuracy"].table, rows)


def losses(**keys):
    """Losses of 1 and 10 steps, 1.0 and 2.0."""
    fixed = {"dataset": "d", "model": "m", "split": "test", "attack": "pgd", "epoch": 0, "seed": 0, "measure": "loss"}
    fixed |= {"n": 10}
    return [fixed | BALL | NOTHING | {"steps": steps, "value": value} | keys for steps, value in ((1, 1.0), (10, 2.0))]


@pytest.mark.parametrize("key", ["dataset", "model", "norm", "eps", "epoch", "n"])
def test_a_gap_is_within_one_data_set_ball_epoch_and_set_of_images(key):
    other = {"dataset": "e", "model": "k", "norm": "l2", "eps": 0.5, "epoch": 9, "n": 7}[key]
    apart = [row | {key: other, "value": 4 * row["value"], "steps": 5 * row["steps"]} for row in losses()]
    rows = pd.DataFrame(light_recipe.figure7(pd.DataFrame(losses() + apart), LABELS, []))
    gaps = rows[rows["measure"] == "gap"].set_index(key)["value"]
    assert gaps.to_dict() == {losses()[0][key]: 0.5, other: 0.5}


def test_a_loss_of_zero_has_no_gap_and_says_so(tmp_path):
    rows = light_recipe.figure7(pd.DataFrame(losses(value=0.0)), LABELS, [])
    (gap,) = [row for row in rows if row["measure"] == "gap"]
    assert (gap["value"], gap["note"]) == (None, "the loss of the most steps is zero")
    tables.write(tmp_path / "t.parquet", FIGURES["fig7"].table, rows)


def test_one_start_has_no_spread():
    point = {"dataset": "d", "model": "m", "id": 1, "steps": 5, "value": 2.0, "note": None} | BALL
    (row,) = light_recipe.figure8(pd.DataFrame([point | {"seed": 0}]), LABELS, [])
    assert (row["value"], row["lo"], row["hi"], row["n"]) == (2.0, None, None, 1)
    (row,) = light_recipe.figure8(pd.DataFrame([point | {"seed": 0}, point | {"seed": 1, "value": 4.0}]), LABELS, [])
    assert (row["value"], row["n"]) == (3.0, 2) and row["hi"] - row["value"] == pytest.approx(2**0.5)


def test_figure_9_has_a_clean_point_per_model_and_set_of_images():
    few = cell(attack="aa_1", ids=range(10), clean=0.8)
    cells = pd.concat(
        [few, cell(attack="aa_2"), cell("c-d-s0", "aa_2", clean=0.7), cell(dataset="child", attack="aa_2")]
    )
    rows = pd.DataFrame(light_recipe.figure9(cells, LABELS, []))
    clean = rows[rows["attack"] == "clean"]
    assert clean[["dataset", "model", "n", "value"]].to_numpy().tolist() == [
        ["d", "a-b-s0", 10, 0.8],
        ["d", "a-b-s0", 40, 0.9],
        ["d", "c-d-s0", 40, 0.7],
        ["child", "a-b-s0", 40, 0.9],
    ]


def places(**grid):
    """Where the cells of a grid stand, by their values."""
    cells = pd.MultiIndex.from_product(grid.values(), names=grid).to_frame(index=False).astype(object)
    named = {
        str(number): {f"x.{key}": value for key, value in row.items()}
        for number, row in enumerate(cells.to_dict("records"))
    }
    return [tuple(place.values()) for place in light_recipe._places(named).values()]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({"decay": [0.5, 0, 0.1]}, [("decay", 0.5, None), ("decay", 0.0, None), ("decay", 0.1, None)]),
        ({"shape": ["a", "b"], "steps": [1]}, [(None, None, None)] * 2),
        ({"steps": [1, 5], "shape": ["a", "b"]}, [("steps", k, f"shape {s}") for k in (1.0, 5.0) for s in "ab"]),
        (
            {"eps": [4 / 255, 8 / 255], "steps": [1, 2, 3]},
            [("steps", float(k), f"eps {e}/255") for e in (4, 8) for k in (1, 2, 3)],
        ),
        ({"flag": [True, False], "one": [3]}, [(None, None, None)] * 2),
        ({"mixed": [1, "all"]}, [(None, None, None)] * 2),
        ({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, [(None, None, None)] * 8),
    ],
)
def test_a_sweep_of_a_number_has_an_axis(grid, expected):
    assert places(**grid) == expected


# Doubts

FLAGGED = [(key, f"{text} for 100.0% of the images; {ADVICE[key]}") for key, text in WORDS.items()]


def semantics(tmp_path, **flags):
    path = tmp_path / "a-b-s0" / "pgd.lmdb"
    path.parent.mkdir()
    data.write(path, path.with_suffix(".parquet"), [Item(png(np.zeros((8, 8, 3), np.uint8)), 0, "zero", "made")])
    row = {
        "dataset": "d",
        "model": "a-b-s0",
        "model_b": "c",
        "attack": "pgd",
        "id": 0,
        "label": 0,
        "prediction": 0,
    } | BALL
    return pd.DataFrame([row | dict.fromkeys(tables.FLAGS, False) | flags]), [str(path)]


@pytest.mark.parametrize(("flag", "said"), FLAGGED)
def test_a_doubt_goes_with_the_number_into_every_table_and_page(flag, said, tmp_path, monkeypatch):
    flagged = cell(**{flag: True}, note=ADVICE[flag])
    noted = pd.DataFrame([row | {"note": said} for row in losses()])
    followed = noted.assign(id=1)
    judged, stores = semantics(tmp_path, **{flag: True})
    sheet = tmp_path / "published.tsv"
    sheet.write_text("model\tnorm\teps\timages\tclean\tautoattack\tsource\na-b-s0\tlinf\t8/255\td\t0.95\t0.5\tthere\n")
    given = {
        "accuracy": (flagged, []),
        "universality_accuracy": (flagged, [str(sheet)]),
        "published": (flagged, [str(sheet)]),
        "surrogates": (flagged, []),
        "frontier": (flagged, []),
        "profile": (flagged, []),
        "curves": (flagged, []),
        "tokens_downstream": (flagged, []),
        "fig7": (noted, []),
        "fig8": (followed, []),
        "fig9": (flagged, []),
        "fig10": (flagged, []),
        "fig11": (judged, stores),
    }
    options = {"seed": 0, "per_class": False, "examples": 1, "cells": {"a-b-s0": "x 1"}, "values": {"a-b-s0": {"x": 1}}}
    options |= {
        "models": ["a-b-s0"],
        "attack": "pgd",
        "seen": {"pgd": "self"},
        "words": {"self": "the model itself"},
    } | LABELS
    named = {"label": "a", "task": "classification", "network": "a", "n_tokens": 0, "head": "own"}
    options |= {"rows": {"a-b-s0": named}, "dataset": "d", "attack": "pgd", "on": {}, "trained": {"a-b-s0": BALL}}
    attacking = [tables.ATTACK, tables.EFFECTIVENESS, tables.CONVERGENCE, tables.SEMANTICS]
    assert set(given) == {name for name, about in FIGURES.items() if about.made_from[0] in attacking}
    for name, (cells, beside) in given.items():
        monkeypatch.setattr(tables, "concat", lambda paths, *tables, cells=cells: cells)
        paths = tmp_path / f"{name}.parquet", tmp_path / f"{name}.html"
        tabulate.tabulate(name, [], beside, options, *paths, {"rule": "tabulate"})
        rows = tables.read(paths[0], FIGURES[name].table)
        rows = rows[rows["model"] != "all"]
        sound = rows["measure"] == "clean accuracy"
        if "attack" in rows:
            sound |= rows["attack"] == "clean"
        assert rows.loc[sound, "note"].isna().all(), name
        expected = said if name != "fig11" else said.partition(";")[0]
        assert (~sound).any() and set(rows.loc[~sound, "note"]) == {expected}, name
        assert expected in paths[1].read_text(), name


def test_catastrophic_overfitting_goes_into_the_learning_curves():
    epoch = {
        "model": "m",
        "epoch": 3,
        "n": 40,
        "train_accuracy": 0.7,
        "test_accuracy": 0.8,
        "test_n": 20,
        "alarm": "it parts",
    }
    epoch |= {"one_step_accuracy": 0.5, "robust_accuracy": 0.25, "robust_steps": 10, "robust_n": 8}
    rows = pd.DataFrame(light_recipe.figure12(pd.DataFrame([epoch]), LABELS, []))
    assert rows["note"].tolist() == [None, None, "it parts", "it parts"]
    assert rows["n"].tolist() == [40, 20, 8, 8]


# Pages and the summary of the demo


def test_a_page_writes_radii_as_people_do_and_hides_no_small_number(tmp_path):
    frame = pd.DataFrame({"model": ["m"] * 2, "norm": "linf", "eps": [4 / 255, 0.5], "value": [0.00002, 0.123456]})
    tables.page(tmp_path / "page.html", FIGURES["fig9"].table, frame, {})
    html = (tmp_path / "page.html").read_text()
    turned, whole = html.split("<details>")
    assert '<th class="n">Linf 4/255</th><th class="n">Linf 0.5</th>' in turned
    cells = re.findall(r'<td class="n"[^>]*>([^<]*)</td>', whole)
    assert cells == ["4/255", "2e-05", "0.5", "0.1235"]
    assert f'data-value="{4 / 255!r}"' in html, "a click sorts by the number"


def test_a_page_says_how_figures_turn_distances(tmp_path, monkeypatch):
    row = {"dataset": "d", "images": "natural", "model": "a", "model_b": "b", "n": 9, "value": 0.7} | BALL | NOTHING
    names = {"cka": "cka", "procrustes": "procrustes", "rtd_500": "rtd"}
    compared = [
        row | {"measure": name, "method": method, "baseline": None, "floor": None, "p": None, "calibrated": None}
        for name, method in names.items()
    ]
    agreeing = [row | {"measure": name} for name in ("disagreement", "kappa", "agreement_upper")]
    for figure, rows, expected in (
        (
            "fig2",
            compared,
            ["<code>procrustes</code> as Procrustes similarity = 1 - procrustes / 2", "−RTD = −rtd_500"],
        ),
        ("fig4", agreeing, ["<code>disagreement</code> as agreement = 1 - disagreement"]),
    ):
        frame = pd.DataFrame(rows, dtype=object)
        monkeypatch.setattr(tables, "concat", lambda paths, table, frame=frame: frame)
        monkeypatch.setattr("mettle.stages.tabulate.universality._of_group", lambda *args: [])
        options = {"seed": 0, "models": ["a", "b"]}
        tabulate.tabulate(figure, [], [], options, tmp_path / "t.parquet", tmp_path / "t.html", {})
        html = (tmp_path / "t.html").read_text()
        assert all(text in html for text in ["Values are as measured. Figures show ", *expected])
        assert "cka</code> as" not in html and "kappa</code> as" not in html


def test_the_summary_of_the_demo_sets_equal_images_side_by_side(tmp_path, monkeypatch):
    cells = [cell("one"), cell("b-y-s0", clean=0.7), cell("one", "aa", ids=range(10), clean=0.6, robust=0.2)]
    cells += [cell("one", dataset="child", clean=0.3), cell("my.net_v2", gradient_zero=True)]
    rows = {"one": {"recipe": "x"}, "b-y-s0": {"recipe": "x"}, "my.net_v2": {"recipe": "y"}}
    monkeypatch.chdir(tmp_path)
    tables.write(demo.ACCURACY, FIGURES["accuracy"].table, accuracy.accuracy(pd.concat(cells), {"per_class": True}, []))
    lines = [line.split() for line in demo.summary(rows).splitlines()]
    assert lines[2:5] == [
        ["attack", "clean", "pgd", "aa"],
        ["dataset", "images", "recipe"],
        ["d", "40", "x", "0.8", "0.5"],
    ]
    assert sorted(map(tuple, lines[5:8])) == [
        ("10", "x", "0.6", "0.2"),
        ("child", "40", "x", "0.3", "0.5"),
        ("y", "0.9", "0.5"),
    ]
    assert demo.summary(rows).endswith("In doubt, see column note of results/tables/accuracy.html: my.net_v2")


# The point-wise worst case


def fooled(attack, wrong, *, norm="linf", eps=0.1, ids=range(10), distance=None, clean=()):
    """Rows of an attack that fools a model on some images, and leaves it right on the others."""
    frame = cell(attack=attack, ids=ids, clean=1.0, robust=1.0, eps=eps, norm=norm)
    hit, before = frame["id"].isin(wrong), frame["id"].isin(clean)
    frame["prediction"] += (hit | before).astype(int)
    frame["clean_prediction"] += before.astype(int)
    return frame.assign(distance=np.where(hit, eps if distance is None else distance, 0.0))


def worst(*cells, per_class=False):
    rows = pd.DataFrame(accuracy.accuracy(pd.concat(cells), {"per_class": per_class}, []), dtype=object)
    return rows[rows["attack"] == "worst_case"].set_index(["norm", "eps", "measure"])


def test_an_image_is_right_in_the_worst_case_if_no_attack_fools_the_model_on_it():
    found = worst(fooled("a", [0, 1]), fooled("b", [1, 2, 3])).loc["linf", 0.1, "accuracy"]
    assert (found["value"], found["n"], found["clean"], found["over"]) == (0.6, 10, 1.0, "a, b")
    assert {key: found[key] for key in ("n", "value", "lo", "hi")}.items() <= proportion(6, 10).items()
    wrong = worst(fooled("a", [0], clean=[9]), fooled("b", [1], clean=[9])).loc["linf", 0.1, "accuracy"]
    assert (wrong["value"], wrong["clean"]) == (0.7, 0.9)  # wrong before any attack


def test_the_worst_case_is_of_one_norm_and_falls_with_eps():
    found = worst(
        fooled("a", [0, 1], eps=0.1), fooled("b", [1], eps=0.2), fooled("c", [*range(9)], norm="l2", eps=0.1)
    )["value"]
    assert found.to_dict() == {
        ("linf", 0.1, "accuracy"): 0.8,
        ("linf", 0.2, "accuracy"): 0.8,  # by the smaller attack
        ("l2", 0.1, "accuracy"): pytest.approx(0.1),
    }


def test_a_change_counts_from_its_distance_on_whatever_attack_found_it():
    found = worst(fooled("a", [0], eps=0.1), fooled("b", [1, 2], eps=0.4, distance=[0, 0.05, 0.3] + [0] * 7))
    assert found["value"].tolist() == [0.8, 0.7]
    assert found["over"].tolist() == ["a", "a, b"]


def test_the_worst_case_is_on_the_images_that_all_attacks_have_seen():
    few = worst(fooled("a", [0, 9]), fooled("b", [1], ids=range(5))).loc["linf", 0.1, "accuracy"]
    assert (few["value"], few["n"]) == (0.6, 5)
    none = worst(fooled("a", [0], ids=range(5)), fooled("b", [7], ids=range(5, 10))).loc["linf", 0.1, "accuracy"]
    assert (none["value"], none["n"], none["note"]) == (None, 0, "no image was seen by all attacks")


def test_the_worst_case_keeps_doubts_and_has_classes_too():
    doubted = fooled("a", [0]).assign(randomised=True)
    found = worst(doubted, fooled("b", [1]), per_class=True)
    assert "randomised output for 100.0%" in found.loc["linf", 0.1, "accuracy"]["note"]
    assert found["n"].tolist() == [10, 4, 3, 3]


def test_a_model_without_eps_has_no_worst_case():
    assert not len(worst(fooled("a", [], eps=0.0)))


# Accuracy by eps from smallest changes


def curve(*cells):
    rows = curves.curves(pd.concat(cells), {"attack": "fmn"} | LABELS, [])
    return pd.DataFrame(rows, dtype=object)


def test_a_curve_falls_at_the_distance_of_each_image(tmp_path):
    far = [0.02, 0.03, 0.03, 0.09] + [0.0] * 6
    rows = curve(fooled("fmn", [0, 1, 2, 3], distance=far, clean=[9]), fooled("pgd", [0, 1], eps=0.05, clean=[9]))
    line = rows[rows["part"] == "curve"]
    assert dict(zip(line["eps"], line["value"], strict=True)) == {0: 0.9, 0.02: 0.8, 0.03: 0.6, 0.09: 0.5, 0.1: 0.5}
    assert line[["n", "value", "lo", "hi"]].iloc[1].to_dict().items() <= proportion(8, 10).items()
    point = rows[rows["part"] == "point"]
    assert point[["attack", "eps", "value", "label"]].to_numpy().tolist() == [["pgd", 0.05, 0.7, "A-B-S0"]]
    tables.write(tmp_path / "t.parquet", FIGURES["curves"].table, rows.to_dict("records"))


def test_a_curve_of_an_image_is_what_an_attack_at_that_eps_would_say():
    distance = np.random.default_rng(0).random(2000) / 10
    cells = fooled("fmn", range(2000), ids=range(2000), distance=distance)
    rows = curve(cells)
    assert len(rows) == 500 and rows["eps"].iloc[0] == 0 and rows["eps"].iloc[-1] == 0.1
    for row in rows.iloc[::50].itertuples():
        assert row.value == (distance > row.eps).mean()
    assert rows["value"].is_monotonic_decreasing
