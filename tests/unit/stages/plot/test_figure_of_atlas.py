"""The atlas: rows are all pairs once, models that are alike are neighbours, and the drawing has what the table has."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import tabulate
from mettle.stages.plot import atlas as drawn
from mettle.stages.plot.heatmap import heatmap
from mettle.stages.tabulate import atlas

# Two kinds of models, by turns.
MODELS = ["a0", "b0", "a1", "b1", "a2"]
LABELS = {name: f"Network {name}" for name in MODELS}
TABLE = FIGURES["atlas"].table
OPTIONS = {"models": MODELS, "labels": LABELS, "layers": "last", "shows": "value"}


def pair(model, other, value, method="cka", **more):
    key = {"dataset": "d", "images": "natural", "model": model, "model_b": other, "measure": method, "method": method}
    nothing = dict.fromkeys(("norm", "eps", "lo", "hi", "note", "baseline", "floor", "p", "calibrated"))
    return key | nothing | {"n": 50, "value": value} | more


def alike(one, other):
    return 0.9 - 0.01 * int(one[1]) if one[0] == other[0] else 0.2 + 0.01 * int(other[1])


def pairs(method="cka", turn=lambda value: value, **more):
    """A row per model and each before it, as the rule `compare` writes them."""
    return [pair(model, other, turn(alike(model, other)), method, **more) for other, model in combinations(MODELS, 2)]


def made(folder, rows, table=tables.COMPARE, **options):
    tables.write(folder / "cells.parquet", table, rows)
    cells = tables.concat([folder / "cells.parquet"], tables.COMPARE, tables.LAYER_SIMILARITY)
    tables.write(folder / "t.parquet", TABLE, atlas.atlas(cells, OPTIONS | options, []))
    return tables.read(folder / "t.parquet", TABLE)


def order(table):
    places = dict(zip(table["model"], table["place"], strict=True)) | dict(
        zip(table["model_b"], table["place_b"], strict=True)
    )
    return "".join(name[0] for name in sorted(places, key=places.get))


@pytest.mark.parametrize(
    ("method", "turn"),
    [("cka", lambda value: value), ("procrustes", lambda value: 2 - 2 * value), ("rtd", lambda value: 1 / value)],
)
def test_models_that_are_alike_are_neighbours(tmp_path, method, turn):
    table = made(tmp_path, pairs(method, turn))
    assert len(table) == 10 and order(table) in ("aaabb", "bbaaa")
    assert list(table["value"]) == [row["value"] for row in pairs(method, turn)]
    assert (table["label"] == "Network " + table["model"]).all() and table["layer"].isna().all()


def test_the_order_is_the_shortest_way_along_the_leaves():
    """Points on a line are in its order, from either end."""
    at = {"a0": 3.0, "b0": 0.0, "a1": 1.0, "b1": 7.0, "a2": 2.0}
    rows = [pair(one, other, abs(at[one] - at[other]), "rtd") for other, one in combinations(MODELS, 2)]
    found = atlas.clustered(pd.DataFrame(rows), MODELS, "value")
    assert found in (sorted(at, key=at.get), sorted(at, key=at.get)[::-1])


def test_calibrated_scores_order_and_are_drawn(tmp_path):
    rows = [row | {"value": 0.5, "p": 0.01, "calibrated": alike(row["model"], row["model_b"])} for row in pairs()]
    table = made(tmp_path, rows, shows="calibrated")
    assert order(table) in ("aaabb", "bbaaa")
    figure = drawn.draw(table)
    grid = figure.axes[0].images[0].get_array()
    assert grid.max() == 1 and grid[0, 1] > 0.8 and figure.axes[1].get_ylabel() == "calibrated CKA"
    pyplot.close(figure)


def test_two_models_keep_their_order_and_undefined_scores_are_far():
    frame = pd.DataFrame([pair("b1", "a0", 0.1)])
    assert atlas.clustered(frame, ["a0", "b1"], "value") == ["a0", "b1"]
    rows = [row | ({"value": None} if "a2" in (row["model"], row["model_b"]) else {}) for row in pairs()]
    found = "".join(name[0:2] for name in atlas.clustered(pd.DataFrame(rows), MODELS, "value"))
    assert found.startswith("a2") or found.endswith("a2")


def test_models_of_the_cells_that_are_not_shown_are_left_out(tmp_path):
    table = made(tmp_path, pairs(), models=["a0", "b0", "b1"])
    assert {*table["model"], *table["model_b"]} == {"a0", "b0", "b1"} and len(table) == 3


def layered(one, other):
    """Scores of two layers of each model; the late one of the first is most like the early one of the second."""
    row = {key: value for key, value in pair(one, other, 0.1).items() if key in tables.LAYER_SIMILARITY.columns}
    best = {("late", "early"): alike(one, other), ("late", "late"): None}
    places = [("early", "early"), ("early", "late"), ("late", "early"), ("late", "late")]
    notes = {("late", "late"): "undefined"}
    return [
        row | {"layer": a, "layer_b": b, "value": best.get((a, b), 0.1), "note": notes.get((a, b))} for a, b in places
    ]


def test_of_layers_the_most_alike_pair_counts(tmp_path):
    rows = [row for other, one in combinations(MODELS, 2) for row in layered(one, other)]
    table = made(tmp_path, rows, tables.LAYER_SIMILARITY, layers="best")
    assert len(table) == 10 and set(table["layer"]) == {"late"} and set(table["layer_b"]) == {"early"}
    assert order(table) in ("aaabb", "bbaaa") and table["calibrated"].isna().all()


def test_of_distances_of_layers_the_least_counts():
    rows = [
        {"model": "a", "model_b": "b", "method": "rtd", "value": value, "layer": name}
        for name, value in (("x", 3.0), ("y", 1.0), ("z", None))
    ]
    assert list(atlas.most_alike(pd.DataFrame(rows))["layer"]) == ["y"]
    nothing = [row | {"value": None} for row in rows]
    assert list(atlas.most_alike(pd.DataFrame(nothing))["layer"]) == ["x"]


def test_the_drawing_is_the_matrix_in_order_with_all_names(tmp_path):
    table = made(tmp_path, pairs())
    figure = drawn.draw(table)
    axis, bar = figure.axes
    grid = np.asarray(axis.images[0].get_array())
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_array_equal(np.diag(grid), 1)
    for row in table.itertuples():
        assert grid[row.place, row.place_b] == pytest.approx(row.value)
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert sorted(names) == sorted(LABELS.values()) and names == [label.get_text() for label in axis.get_xticklabels()]
    for row in table.itertuples():
        assert names[row.place] == row.label and names[row.place_b] == row.label_b
    assert len(axis.texts) == 25 and bar.get_ylabel() == "CKA" and axis.get_title() == "d"
    pyplot.close(figure)


def test_directed_scores_have_both_orders_and_distances_are_turned(tmp_path):
    rows = pairs("linear_regression") + [
        pair(row["model_b"], row["model"], row["value"] - 0.05, "linear_regression") for row in pairs()
    ]
    table = made(tmp_path, rows)
    figure = drawn.draw(table)
    grid = np.asarray(figure.axes[0].images[0].get_array())
    for row in table.itertuples():
        assert grid[row.place, row.place_b] == pytest.approx(row.value)
    pyplot.close(figure)
    figure = drawn.draw(made(tmp_path, pairs("procrustes", lambda value: 2 - 2 * value)))
    grid = np.asarray(figure.axes[0].images[0].get_array())
    assert grid.max() == 1 and "1 - procrustes / 2" in figure.axes[1].get_ylabel()
    pyplot.close(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0, "0"), (0.004, ".00"), (0.5, ".50"), (-0.5, "-.50"), (1.0, "1"), (-4.31, "-4.3"), (-304.6, "-305")],
)
def test_numbers_in_cells_are_short(value, text):
    figure, axis = pyplot.subplots()
    heatmap(axis, np.array([[value]]), (-400.0, 1.0), "upper", 1)
    assert [found.get_text() for found in axis.texts] == [text]
    pyplot.close(figure)


def test_an_undefined_pair_is_said_to_be(tmp_path):
    rows = pairs()
    rows[3] |= {"value": None, "note": "why"}
    figure = drawn.draw(made(tmp_path, rows))
    assert [text.get_text() for text in figure.axes[0].texts].count("n/a") == 2
    pyplot.close(figure)


def test_many_models_are_named_as_far_as_there_is_room():
    names = [f"n{number}" for number in range(130)]
    rows = [pair(one, other, 0.5) for other, one in combinations(names, 2)]
    options = OPTIONS | {"models": names, "labels": {name: name for name in names}}
    figure = drawn.draw(pd.DataFrame(atlas.atlas(pd.DataFrame(rows), options, [])))
    assert len(figure.axes[0].get_yticklabels()) == 44 and not figure.axes[0].texts
    assert figure.get_size_inches()[0] < 8
    pyplot.close(figure)


def test_its_page_has_every_pair(tmp_path):
    tables.write(tmp_path / "cells.parquet", tables.COMPARE, pairs())
    files = tmp_path / "t.parquet", tmp_path / "t.html"
    tabulate.tabulate("atlas", [tmp_path / "cells.parquet"], [], OPTIONS, *files, {})
    assert files[1].read_text().split("<details>")[-1].count("<tr>") == 1 + 10
