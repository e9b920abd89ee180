"""Figures of universality: every pair, mean and bound of the table is drawn; the same table gives the same bytes."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import test_figures
from matplotlib import pyplot

from mettle import tables
from mettle.data.item import png
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import fig5_subgroups, pairs, style

MODELS = [f"{arch}-x-s0" for arch in ("a", "b", "c", "d")]
LEVELS = {"one": (0.0, 0.5, 3.0), "two": (0.0, 0.5)}
NONE = {"lo": None, "hi": None, "note": None}
RAW = {"cka": 0.5, "procrustes": 1.0, "rtd": 20.0, "jaccard": 0.1}
AGREEMENT = {"disagreement": 0.3, "jsd": 0.2, "kappa": 0.6, "agreement_upper": 0.9, "agreement_lower": 0.5}
INVERTED = {"fig3", "fig13", "fig15"}


def rows_of(cell, inverted, middle, **more):
    """Rows of all pairs, spread about a middle, and their mean."""
    both = list(permutations(MODELS, 2) if inverted else combinations(MODELS, 2))
    values = middle * np.linspace(0.9, 1.2, len(both)) if middle is not None else [None] * len(both)
    cell = {"norm": "l2" if cell["eps"] else None, "n": 100, **cell, **more, **NONE}
    found = [
        cell | {"images": f"inverted-{a}" if inverted else "natural", "model": a, "model_b": b, "value": value}
        for (a, b), value in zip(both, values, strict=True)
    ]
    group = {"images": "inverted" if inverted else "natural", "model": "all", "model_b": "all"}
    if middle is None:
        return [*found, cell | group | {"value": None}]
    return [*found, cell | group | {"value": np.mean(values), "lo": 0.95 * middle, "hi": 1.1 * middle}]


def cells():
    return [{"dataset": dataset, "eps": eps} for dataset, levels in LEVELS.items() for eps in levels]


def similarity(inverted):
    rows = []
    for method, middle in RAW.items():
        for cell in cells():
            gone = method == "rtd" and cell["eps"] == 0 and cell["dataset"] == "two"
            more = {
                "measure": method,
                "method": method,
                "floor": 2 * middle,
                "baseline": None,
                "p": None,
                "calibrated": None,
            }
            rows += rows_of(cell, inverted, None if gone else middle, **more)
    return rows


def agreement(inverted):
    rows = []
    for name, middle in AGREEMENT.items():
        if not (inverted and name.startswith("agreement")):
            rows += [row for cell in cells() for row in rows_of(cell, inverted, middle, measure=name)]
    group = {"images": "natural", "model": "all", "model_b": "all", "norm": None, "n": 4, "value": 0.4} | NONE
    return rows + [cell | group | {"measure": name} for cell in cells() for name in ("ambiguity", "discrepancy")]


def neighbours(inverted):
    more = {"method": "jaccard", "floor": 0.01, "baseline": None, "p": None, "calibrated": None}
    return [
        row
        for k in (100, 10)
        for cell in cells()
        for row in rows_of(cell, inverted, k / 200, measure=f"jaccard_k{k}", k=k, **more)
    ]


def probes():
    rows = []
    for images in ("natural", "train"):
        for head, eps in (("pretrained", 0.0), ("pretrained", 3.0), ("probe", 3.0)):
            both = rows_of({"dataset": "one", "eps": eps}, False, 0.7, measure=head)
            own = [both[0] | {"model": name, "model_b": name, "value": 0.97} for name in MODELS]
            rows += [row | {"images": images} for row in both + own]
    return rows


def inversions():
    rows = []
    cell = {"dataset": "one", "n": 1} | NONE
    for image in (3, 7):
        picture = {"image": png(np.full((8, 8, 3), 30 * image, np.uint8)), "id": image}
        for measure in ("seed", "target"):
            natural = {
                "model": "natural",
                "label": measure,
                "norm": None,
                "eps": 0.0,
                "measure": measure,
                "value": None,
            }
            rows.append(cell | natural | picture)
        for model, label, eps in (("v", "VGG-5 standard", 0.0), ("d", "DenseNet-10 L2 eps 0.5", 0.5)):
            own = {"model": model, "label": label, "norm": "l2", "eps": eps, "measure": "inverted", "value": image / 10}
            rows.append(cell | own | picture)
    return rows


def subgroups(first, second, p=0.003):
    """Rows of figure 5 for one split, the second part, which is the smaller one, missing for eps 0."""
    rows = []
    for eps in (0.0, 0.5):
        cell = {"dataset": "one", "eps": eps, "measure": "rtd", "method": "rtd", "p": None}
        for part in (first, f"{first}_matched", second, f"{second}_matched"):
            value = None if part != first and not eps else 20
            found = rows_of(cell | {"n": 900 if part == first else 100}, False, value, subgroup=part)
            rows += [row for row in found if row["model"] != "all"]
        for suffix, value in (("", 0.9), ("_matched", p)):
            test = rows[-1] | {"model": "all", "model_b": "all", "subgroup": f"{first}{suffix} - {second}{suffix}"}
            rows.append(test | {"p": value if eps else None, "value": 1.0 if eps else None})
    return rows


ROWS = {
    "fig1": inversions,
    "fig2": lambda: similarity(False),
    "fig3": lambda: similarity(True),
    "fig4": lambda: agreement(False),
    "fig5": lambda: subgroups("right", "wrong"),
    "fig6": probes,
    "fig13": lambda: agreement(True),
    "fig14": lambda: neighbours(False),
    "fig15": lambda: neighbours(True),
}


def write(figure, folder, rows=None):
    """The table of a figure, as a file."""
    path = folder / f"{figure}.parquet"
    tables.write(path, FIGURES[figure].table, rows or ROWS[figure]())
    return path


@pytest.fixture
def drawn(request, tmp_path):
    make, declared = plot.drawing_of(request.param), FIGURES[request.param].table
    figure = make(tables.read(write(request.param, tmp_path), declared))
    figure.canvas.draw()
    yield figure
    pyplot.close(figure)


def points(axis):
    """Coordinates of all points of an axis, one row each."""
    return np.concatenate([np.asarray(found.get_offsets()) for found in axis.collections])


def diamonds(axis):
    """Coordinates of the means, in the order they were drawn."""
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() == "D"]


def ticks(labels):
    return [tick.get_text() for tick in labels]


def legend(figure):
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def beyond_the_axes(figure):
    """Labels that an axis has and does not draw, as their ticks are beyond its ends."""
    hidden = set()
    for line in (line for axis in figure.axes for line in (axis.xaxis, axis.yaxis)):
        low, high = sorted(line.get_view_interval())
        for tick in line.get_major_ticks():
            if not (low <= tick.get_loc() <= high and tick.label1.get_visible()):
                hidden.add(tick.label1)
            hidden.add(tick.label2)
    return hidden


OF_ROBUSTNESS = ("corruptions", "transfer", "prime")  # test_figures_of_robustness.py
OF_TOKENS = ("tokens_training", "tokens_features", "surrogates")  # test_figures_of_tokens.py
OF_HEADS = ("tokens_downstream", "tokens_corruptions")  # test_tokens_downstream.py, test_figures_of_robustness.py
OF_LAYERS = ("tokens_activations", "layers")  # test_figures_of_layers.py
OF_MODELS = ("atlas",)  # test_figure_of_atlas.py
OF_PICTURES = ("predictions",)  # test_predictions.py
ACROSS = ("frontier", "profile")  # tests/unit/stages/tabulate/test_cross.py


def test_every_figure_of_the_registry_is_tested():
    others = {*OF_ROBUSTNESS, *OF_TOKENS, *OF_HEADS, *OF_LAYERS, *OF_MODELS, *OF_PICTURES, *ACROSS}
    assert {*ROWS, *test_figures.ROWS, *others} == {name for name, about in FIGURES.items() if about.draw}


@pytest.mark.parametrize("figure", ROWS)
def test_the_same_table_gives_the_same_bytes(figure, tmp_path):
    table, drawing = write(figure, tmp_path), tmp_path / f"{figure}.pdf"
    plot.draw(figure, table, drawing)
    first = drawing.read_bytes()
    plot.draw(figure, table, drawing)
    assert first == drawing.read_bytes() and len(first) > 3000
    test_figures.assert_truetype(first)


@pytest.mark.parametrize("drawn", ROWS, indirect=True)
def test_no_text_leaves_the_figure_or_covers_another(drawn):
    texts_have_room(drawn)


def texts_have_room(figure):
    """No text of a drawn figure leaves it or covers another."""
    outside = beyond_the_axes(figure)
    texts = [text for text in figure.findobj(pyplot.Text) if text.get_text() and text not in outside]
    boxes = [text.get_window_extent() for text in texts]
    whole = figure.bbox.padded(1)
    for text, box in zip(texts, boxes, strict=True):
        assert whole.containsx(box.x0) and whole.containsx(box.x1), text
        assert whole.containsy(box.y0) and whole.containsy(box.y1), text
    for (text, box), (other, under) in combinations(zip(texts, boxes, strict=True), 2):
        assert not box.padded(-1).overlaps(under), (text, other)


def linf(row):
    """A row of the same with radii in steps of 8-bit images."""
    return row | {"eps": {0.5: 4 / 255, 3.0: 8 / 255}.get(row["eps"], row["eps"]), "norm": row["norm"] and "linf"}


@pytest.mark.parametrize("figure", [figure for figure in ROWS if figure != "fig1"])  # which shows labels alone
def test_radii_are_written_in_steps_of_8_bit_images_everywhere(figure, tmp_path):
    make, declared = plot.drawing_of(figure), FIGURES[figure].table
    drawn = make(tables.read(write(figure, tmp_path, list(map(linf, ROWS[figure]()))), declared))
    drawn.canvas.draw()
    texts_have_room(drawn)
    texts = [text.get_text() for text in drawn.findobj(pyplot.Text)]
    pyplot.close(drawn)
    assert any("4/255" in text or "8/255" in text for text in texts)
    assert not [text for text in texts if "0.01568" in text or "0.0313" in text]


@pytest.mark.parametrize("drawn", ["fig1"], indirect=True)
def test_figure_1_has_a_line_per_target_and_a_column_per_model(drawn):
    assert len(drawn.axes) == 2 * 4 and all(len(axis.images) == 1 for axis in drawn.axes)
    titles = [axis.get_title() for axis in drawn.axes[:4]]
    assert titles == ["seed", "target", "VGG-5 standard", "DenseNet-10 L2\neps 0.5"]
    texts_have_room(drawn)
    assert [axis.get_xlabel() for axis in drawn.axes] == ["", "", "0.30", "0.30", "", "", "0.70", "0.70"]
    assert [axis.images[0].get_array()[0, 0, 0] for axis in drawn.axes[::4]] == pytest.approx([90 / 255, 210 / 255])


def test_figure_1_turns_headers_that_would_not_fit(tmp_path):
    rows = inversions()
    more = [
        row | {"model": f"wide_{n}", "label": f"wide_resnet50_{n}-r-s0"}
        for row in rows
        if row["eps"]
        for n in range(12)
    ]
    figure = plot.drawing_of("fig1")(tables.read(write("fig1", tmp_path, rows + more), FIGURES["fig1"].table))
    assert {axis.title.get_rotation() for axis in figure.axes[:16]} == {90}
    pyplot.close(figure)


@pytest.mark.parametrize("drawn", ["fig2", "fig3"], indirect=True)
def test_figures_2_and_3_have_a_panel_per_measure_with_all_pairs(drawn, request):
    inverted = request.node.callspec.params["drawn"] == "fig3"
    labels = [axis.get_ylabel() for axis in drawn.axes]
    expected = ["CKA", "Procrustes similarity\n= 1 - procrustes / 2", "−RTD", "Jaccard (kNN)"]
    assert labels == [f"{label}\non inverted images" if inverted else label for label in expected]
    for axis, missing in zip(drawn.axes, (0, 0, 1, 0), strict=True):
        assert ticks(axis.get_xticklabels()) == ["one", "two"]
        assert len(points(axis)) == (5 - missing) * (12 if inverted else 6)
        assert [text.get_text() for text in axis.texts] == ["n/a"] * missing
    assert legend(drawn) == ["training eps (L2)", "0", "0.5", "3", "mean, 95 % interval", "independent features"]


@pytest.mark.parametrize("drawn", ["fig2"], indirect=True)
def test_distances_are_turned_and_their_means_and_floors_too(drawn):
    rtd = drawn.axes[2]
    assert points(rtd)[:, 1].max() == pytest.approx(-20 * 0.9)
    assert [y for _, y in diamonds(rtd)] == pytest.approx([-21] * 4)
    intervals = [line.get_ydata() for line in rtd.lines if line.get_lw() == 1 and line.get_marker() == "None"]
    np.testing.assert_allclose(intervals, [[-22, -19]] * 4)
    floors = [line.get_ydata() for line in rtd.lines if line.get_ls() == ":"]
    np.testing.assert_allclose(floors, [[-40, -40]] * 4)
    assert [y for _, y in diamonds(drawn.axes[1])] == pytest.approx([(2 - 1.05) / 2] * 5)


@pytest.mark.parametrize("drawn", ["fig2"], indirect=True)
def test_eps_runs_from_left_to_right_and_from_light_to_dark(drawn):
    axis = drawn.axes[0]
    at = [x for x, _ in diamonds(axis)]
    assert at == sorted(at) and np.mean(at[:3]) == pytest.approx(0) and np.mean(at[3:]) == pytest.approx(1)
    colours = [patch.get_facecolor() for patch in axis.patches]
    assert colours[:2] == colours[3:], "a level has one colour in all data sets"
    assert sum(colours[0]) > sum(colours[1]) > sum(colours[2])


@pytest.mark.parametrize("drawn", ["fig4"], indirect=True)
def test_figure_4_has_agreement_with_bounds_above_jsd_similarity(drawn):
    one, two, below, _ = drawn.axes
    assert [axis.get_title() for axis in (one, two)] == ["one", "two"]
    assert ticks(one.get_xticklabels()) == ["0", "0.5", "3"] and ticks(two.get_xticklabels()) == ["0", "0.5"]
    assert (
        one.get_ylabel() == "agreement\n= 1 - disagreement" and below.get_ylabel() == "JSD similarity\n= 1 - jsd / ln 2"
    )
    assert below.get_xlabel() == "training eps (L2)"
    assert [y for _, y in diamonds(one)] == pytest.approx([1 - 0.3 * 1.05] * 3)
    assert [y for _, y in diamonds(below)] == pytest.approx([1 - 0.2 * 1.05 / np.log(2)] * 3)
    bounds = {line.get_ls(): line for line in one.lines if len(line.get_xdata()) == 5}
    assert bounds["--"].get_xdata().tolist() == [-0.4, 0, 1, 2, 2.4], "from end to end, so that one eps is a line too"
    assert bounds["--"].get_ydata().tolist() == pytest.approx([0.9 * 1.05] * 5)
    assert bounds[":"].get_ydata().tolist() == pytest.approx([0.5 * 1.05] * 5)
    assert sum("Fort et al. 2019" in text for text in legend(drawn)) == 2


@pytest.mark.parametrize("drawn", ["fig13"], indirect=True)
def test_figure_13_has_ordered_pairs_and_no_bounds(drawn):
    assert drawn.axes[0].get_ylabel() == "agreement\n= 1 - disagreement\non inverted images"
    assert len(points(drawn.axes[0])) == 3 * 12
    assert legend(drawn) == ["mean, 95 % interval"]


@pytest.mark.parametrize("drawn", ["fig6"], indirect=True)
def test_figure_6_has_a_box_per_head_without_pairs_of_a_model_with_itself(drawn):
    held, train = drawn.axes
    assert held.get_title() == "one, held-out images" and train.get_title() == "one, training images"
    assert ticks(held.get_yticklabels()) == ["pretrained, eps 0", "pretrained, eps 3", "probes, eps 3"]
    assert held.get_ylim()[0] > held.get_ylim()[1], "the first is above"
    assert len(points(held)) == 3 * 6 and points(held)[:, 0].max() < 0.9
    own = [line.get_xdata().tolist() for line in held.lines if line.get_marker() == "|" and len(line.get_xdata())]
    assert own == [[0.97] * 4], "for probes only: a model's own head agrees with itself"
    assert [y for _, y in diamonds(held)] == [0, 1, 2]


@pytest.mark.parametrize("drawn", ["fig14", "fig15"], indirect=True)
def test_figures_14_and_15_go_by_number_of_neighbours(drawn, request):
    inverted = request.node.callspec.params["drawn"] == "fig15"
    one, two = drawn.axes
    assert one.get_ylabel() == "Jaccard (kNN)" + (" on inverted images" if inverted else "")
    for axis, levels in ((one, 3), (two, 2)):
        assert ticks(axis.get_xticklabels()) == ["10", "100"]
        assert len(points(axis)) == 2 * levels * (12 if inverted else 6)
        means = [y for _, y in diamonds(axis)]
        assert means == pytest.approx([10 / 200 * 1.05] * levels + [100 / 200 * 1.05] * levels)


@pytest.mark.parametrize("split", [("agree", "disagree"), ("right", "wrong"), ("confident", "unsure")])
def test_figure_5_draws_the_two_parts_of_the_split_that_the_table_has(split, tmp_path):
    figure = fig5_subgroups.draw(tables.read(write("fig5", tmp_path, subgroups(*split)), FIGURES["fig5"].table))
    (axis,) = figure.axes
    assert len(points(axis)) == 6 * (1 + 3)
    assert [text.get_text() for text in axis.texts] == ["–", "**"]
    assert ticks(axis.get_xticklabels()) == ["0", "0.5\nn 100"]
    shown = [fig5_subgroups.GROUPS[name][0] for name in (split[0], f"{split[0]}_matched", f"{split[1]}_matched")]
    assert legend(figure) == shown
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    pyplot.close(figure)


def test_outliers_stand_for_pairs_where_these_are_many():
    rows = rows_of({"dataset": "one", "eps": 0.0}, False, 0.5, measure="cka", method="cka")[:1] * (pairs.FEW + 1)
    frame = pairs.similarity(pd.DataFrame([*rows[:-1], rows[-1] | {"value": 0.9}]))
    figure, axis = pyplot.subplots()
    pairs.box(axis, frame, 0, 0.5, (0, 0, 1))
    assert not axis.collections
    assert [line.get_ydata().tolist() for line in axis.lines if line.get_marker() == "."] == [[0.9]]
    pyplot.close(figure)


def test_shades_are_told_apart_and_keep_their_order():
    found = style.shades([3.0, 0.0, 0.5, 0.0], style.NATURAL)
    assert list(found) == [0.0, 0.5, 3.0]
    light = [sum(colour[:3]) for colour in found.values()]
    assert min(-np.diff(light)) > 0.3
