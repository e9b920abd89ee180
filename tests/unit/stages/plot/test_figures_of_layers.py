"""Figures of what is inside networks: rows are means of cells, and what is drawn is what the table holds."""

import numpy as np
import pytest
from matplotlib import pyplot

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot, tabulate
from mettle.stages.plot import layers, tokens_activations
from mettle.stages.tabulate import tokens

LABELS = {"vit": "no tokens", "ten": "10 tokens"}
LAYERS = ["input", "blocks.0", "blocks.1"]
BALL = {
    "weak": {"norm": "linf", "eps": 8 / 255, "through": "vit"},
    "clean": {"norm": None, "eps": 0.0, "through": None},
}


def keys(model, layer, attack):
    return {"dataset": "d", "split": "test", "model": model, "layer": layer, "attack": attack} | BALL[attack]


def activations(n=40, scale=1.0):
    rng, rows = np.random.default_rng(0), []
    for model in LABELS:
        for attack in ("clean", "weak"):
            for place, layer in enumerate(LAYERS):
                values = scale**place * rng.uniform(1, 2, n)
                rows += [keys(model, layer, attack) | {"id": i, "largest": value} for i, value in enumerate(values)]
    return rows


def surfaces(folder, tokens=5, channels=7):
    """Files of all activations of an image, one per model."""
    rng, paths = np.random.default_rng(1), []
    for model in LABELS:
        every = [(attack, layer, token) for attack in ("clean", "weak") for layer in LAYERS for token in range(tokens)]
        rows = [keys(model, layer, attack) | {"id": 0, "token": token} for attack, layer, token in every]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        columns["activations"] = rng.uniform(0, 3, (len(rows), channels)).astype(np.float32)
        paths.append(folder / f"{model}.surface.parquet")
        tables.write(paths[-1], tables.SURFACE, columns)
    return paths


def made(folder, surface=None, scale=1.0):
    """Cells, files of an image and table of the figure of activations."""
    tables.write(folder / "cells.parquet", tables.ACTIVATIONS, activations(scale=scale))
    cells, beside = tables.read(folder / "cells.parquet", tables.ACTIVATIONS), surfaces(folder) if surface else []
    rows = tokens.activations(cells, {"seed": 0, "labels": LABELS, "surface": surface}, beside)
    tables.write(folder / "t.parquet", FIGURES["tokens_activations"].table, rows)
    return cells, beside, tables.read(folder / "t.parquet", FIGURES["tokens_activations"].table)


def test_rows_are_means_over_images_with_intervals_of_a_bootstrap(tmp_path):
    cells, _, table = made(tmp_path)
    assert len(table) == 2 * 2 * 3 and (table["n"] == 40).all() and set(table["measure"]) == {"largest"}
    for row in table.itertuples():
        own = cells[(cells["model"] == row.model) & (cells["layer"] == row.layer) & (cells["attack"] == row.attack)]
        assert row.value == pytest.approx(own["largest"].mean()) and row.lo < row.value < row.hi
        assert 2.5 * own["largest"].std() / 40**0.5 < row.hi - row.lo < 5.5 * own["largest"].std() / 40**0.5
    clean = table[table["attack"] == "clean"]
    assert clean["norm"].isna().all() and clean["through"].isna().all() and (clean["eps"] == 0).all()


def test_a_surface_has_a_row_per_token_of_one_layer(tmp_path):
    _, beside, table = made(tmp_path, "blocks.0")
    rows = table[table["measure"] == "surface"]
    assert len(rows) == 2 * 2 * 5 and set(rows["layer"]) == {"blocks.0"} and rows["value"].isna().all()
    given = tables.read(beside[1], tables.SURFACE)
    given = given[(given["layer"] == "blocks.0") & (given["attack"] == "weak")]
    found = rows[(rows["model"] == "ten") & (rows["attack"] == "weak")]
    np.testing.assert_array_equal(np.stack(found["activations"]), np.stack(given["activations"]))


def test_a_layer_that_there_is_none_of_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"surface: .* has no layer 'blocks\.7'; known: input, blocks\.0, blocks\.1$"):
        made(tmp_path, "blocks.7")


def test_a_surface_that_is_too_fine_to_draw_keeps_its_peaks():
    grid = np.zeros((257, 1000), np.float32)
    grid[200, 777] = 9
    found = tokens.coarse(grid, (64, 128))
    assert found.shape[0] <= 64 and found.shape[1] <= 128 and found.max() == 9 and (found > 0).sum() == 1
    assert tokens.coarse(grid[:64, :128], (64, 128)) is not None
    np.testing.assert_array_equal(tokens.coarse(grid[:10, :10], (64, 128)), grid[:10, :10])
    small = np.arange(12.0).reshape(3, 4)
    assert tokens.coarse(small, (2, 2)).tolist() == [[5, 7], [9, 11]]


def test_a_page_has_the_means_and_no_vectors(tmp_path):
    tables.write(tmp_path / "cells.parquet", tables.ACTIVATIONS, activations())
    options = {"seed": 0, "labels": LABELS, "surface": "blocks.0"}
    files = tmp_path / "t.parquet", tmp_path / "t.html"
    tabulate.tabulate("tokens_activations", [tmp_path / "cells.parquet"], surfaces(tmp_path), options, *files, {})
    assert len(tables.read(files[0], FIGURES["tokens_activations"].table)) == 12 + 20
    text = files[1].read_text()
    assert (
        text.split("<details>")[-1].count("<tr>") == 1 + 12
        and "surface</td>" not in text
        and ">activations</th>" not in text
    )


def test_curves_are_means_by_layer_with_their_intervals(tmp_path):
    _, _, table = made(tmp_path)
    figure = tokens_activations.draw(table)
    assert [axis.get_title() for axis in figure.axes] == ["no tokens", "10 tokens"]
    for axis, model in zip(figure.axes, LABELS, strict=True):
        for line, band, attack in zip(axis.lines, axis.collections, ("clean", "weak"), strict=True):
            own = table[(table["model"] == model) & (table["attack"] == attack)]
            np.testing.assert_allclose(line.get_ydata(), own["value"].astype(float))
            edges = band.get_paths()[0].get_extents()
            assert edges.y0 == pytest.approx(own["lo"].min()) and edges.y1 == pytest.approx(own["hi"].max())
        assert [label.get_text() for label in axis.get_xticklabels()] == ["input", "0", "1"]
        assert axis.get_yscale() == "linear" and axis.get_ylim()[0] == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean images", "weak: Linf 8/255"]
    pyplot.close(figure)


def test_the_axis_is_logarithmic_where_values_ask_for_it(tmp_path):
    _, _, table = made(tmp_path, scale=10)
    figure = tokens_activations.draw(table)
    assert {axis.get_yscale() for axis in figure.axes} == {"log"}
    pyplot.close(figure)


def test_surfaces_have_one_height(tmp_path):
    _, _, table = made(tmp_path, "blocks.1")
    figure = tokens_activations.draw(table)
    solid = [axis for axis in figure.axes if axis.name == "3d"]
    assert len(solid) == 4 and len({axis.get_zlim() for axis in solid}) == 1
    assert [axis.get_title() for axis in solid[::2]] == ["clean images, blocks.1", "weak: Linf 8/255, blocks.1"]
    pyplot.close(figure)


# Layers

PAIRS = [("d", "vit", "vit", 3, 3), ("d", "vit", "ten", 3, 4), ("e", "ten", "ten", 4, 4)]


def similarities(folder, method="cka", low=0.2):
    """Files of comparisons, and the table of the figure."""
    rng, paths = np.random.default_rng(2), []
    for number, (dataset, model, other, height, width) in enumerate(PAIRS):
        rows = []
        for line, column in np.ndindex(height, width):
            same = model == other and line == column
            value = (1.0 if method == "cka" else 0.0) if same else rng.uniform(low, 0.9)
            missing = number == 0 and (line, column) == (0, 1)
            told = {"dataset": dataset, "images": "natural", "model": model, "model_b": other, "measure": "m", "n": 9}
            told |= {"layer": f"l.{line}", "layer_b": f"l.{column}", "method": method, "lo": None, "hi": None}
            rows.append(told | {"value": None if missing else value, "note": "constant" if missing else None})
        paths.append(folder / f"{number}.parquet")
        tables.write(paths[-1], tables.LAYER_SIMILARITY, rows)
    files = folder / "t.parquet", folder / "t.html"
    tabulate.tabulate("layers", paths, [], {"labels": LABELS}, *files, {})
    return tables.concat(paths, tables.LAYER_SIMILARITY), tables.read(files[0], FIGURES["layers"].table)


def test_rows_are_those_of_the_comparisons_with_labels(tmp_path):
    cells, table = similarities(tmp_path)
    assert table["value"].equals(cells["value"]) and table["note"].tolist() == cells["note"].tolist()
    assert table["label"].tolist() == cells["model"].map(LABELS).tolist()
    assert table["label_b"].tolist() == cells["model_b"].map(LABELS).tolist()


def test_a_panel_has_the_matrix_of_its_comparison(tmp_path):
    _, table = similarities(tmp_path)
    figure = layers.draw(table)
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in panels] == ["d", "d", "e"]
    assert [(axis.get_ylabel(), axis.get_xlabel()) for axis in panels] == [
        ("no tokens", "no tokens"),
        ("no tokens", "10 tokens"),
        ("10 tokens", "10 tokens"),
    ]
    for axis, (dataset, model, other, height, width) in zip(panels, PAIRS, strict=True):
        own = table[(table["dataset"] == dataset) & (table["model"] == model) & (table["model_b"] == other)]
        expected = own["value"].astype(float).to_numpy().reshape(height, width)
        np.testing.assert_allclose(axis.images[0].get_array().filled(np.nan), expected)
        assert [label.get_text() for label in axis.get_yticklabels()] == [f"l.{i}" for i in range(height)]
        assert len(axis.texts) == height * width and axis.images[0].origin == "lower"
        assert axis.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in panels[0].texts].count("n/a") == 1
    pyplot.close(figure)


def test_distances_are_turned_so_that_more_is_more_alike(tmp_path):
    _, table = similarities(tmp_path, "procrustes")
    figure = layers.draw(table)
    first = figure.axes[0].images[0].get_array()
    raw = table["value"].astype(float).to_numpy()[:9].reshape(3, 3)
    np.testing.assert_allclose(first.filled(np.nan), 1 - raw / 2)
    assert "1 - m / 2" in figure.axes[-1].get_ylabel()
    pyplot.close(figure)


@pytest.mark.parametrize("method", ["rtd", "cka"])
def test_values_below_zero_are_in_the_range(tmp_path, method):
    _, table = similarities(tmp_path, method, low=-0.3 if method == "cka" else 0.5)
    figure = layers.draw(table)
    low, high = figure.axes[0].images[0].get_clim()
    assert low < 0 and high == (1 if method == "cka" else 0)
    pyplot.close(figure)


@pytest.mark.parametrize("figure", ["layers", "tokens_activations"])
def test_the_same_table_gives_the_same_file(tmp_path, figure):
    similarities(tmp_path) if figure == "layers" else made(tmp_path, "blocks.0")
    for name in ("a", "b"):
        plot.draw(figure, tmp_path / "t.parquet", tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
