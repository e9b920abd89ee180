"""What holds for every figure: whole markers, and doubts that are seen."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import test_figures
import test_universality
from matplotlib import pyplot

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import style
from mettle.stats import proportion

ROWS = {**test_universality.ROWS, **test_figures.ROWS}
NOTE = "zero gradient for 100.0% of the images; input gradients are zero: attacks along the gradient see nothing"


def written(figure, folder, rows):
    path, declared = folder / f"{figure}.parquet", FIGURES[figure].table
    tables.write(path, declared, [dict.fromkeys(declared.columns) | row for row in rows])
    return path


@pytest.fixture
def made(tmp_path):
    """Figures from rows, drawn, closed in the end."""
    figures = []

    def make(name, rows):
        draw, declared = plot.drawing_of(name), FIGURES[name].table
        figures.append(draw(tables.read(written(name, tmp_path, rows), declared)))
        figures[-1].canvas.draw()
        return figures[-1]

    yield make
    for figure in figures:
        pyplot.close(figure)


def test_saving_changes_no_option_of_others(tmp_path):
    before = dict(matplotlib.rcParams)
    figure, _ = pyplot.subplots()
    style.save(figure, tmp_path / "a.pdf")
    assert dict(matplotlib.rcParams) == before


def whole(axis):
    """Whether all markers of an axis lie inside its frame, or are drawn beyond it."""
    for line in axis.lines:
        if line.get_marker() in ("None", "", None) or not line.get_clip_on():
            continue
        at = line.get_transform().transform(np.asarray(line.get_xydata(), float))
        half = line.get_markersize() / 2 * axis.figure.dpi / 72
        for x, y in at[np.isfinite(at).all(1)]:
            if not axis.bbox.padded(1 - half).contains(x, y):
                return False
    return True


def at_the_ends(row):
    """The same row with values at 0 and 100 % where there are values."""
    return row if row.get("value") is None else row | {"value": float(row["value"] > 0.45), "lo": 0.0, "hi": 1.0}


@pytest.mark.parametrize("name", ROWS)
def test_markers_are_whole_and_nothing_is_marked(name, made):
    figure = made(name, ROWS[name]())
    assert all(whole(axis) for axis in figure.axes)
    assert not [text for text in figure.findobj(pyplot.Text) if style.DOUBT in text.get_text()], "nothing is in doubt"
    if name in ("fig7", "fig9", "fig10", "fig12"):
        figure = made(name, list(map(at_the_ends, ROWS[name]())))
        assert all(whole(axis) for axis in figure.axes)


@pytest.mark.parametrize("name", test_figures.ROWS)
def test_doubts_are_marked_and_said_below(name, made):
    rows = ROWS[name]()
    model, key = rows[0]["model"], "label" if "label" in rows[0] else "model"
    figure = made(name, [row | {"note": NOTE if row["model"] == model else None} for row in rows])
    texts = [" ".join(text.get_text().split()) for text in figure.findobj(pyplot.Text)]
    said = [text for text in texts if text.startswith("† ")]
    assert said == [f"† {rows[0][key]}: {NOTE}"]
    marks = [text for text in texts if "†" in text and text not in said]
    assert marks, "beside the label or the point"
    sound = {row[key] for row in rows} - {rows[0][key]}
    assert not [text for text in said for other in sound if other in text]
    test_universality.texts_have_room(figure)


def test_every_wording_is_said_once_and_every_model_has_one(made):
    rows = ROWS["fig12"]()
    notes = iter(f"accuracy {number}" for number in range(100))
    held = [row | {"note": next(notes)} if row["steps"] else row for row in rows]
    figure = made("fig12", held)
    (said,) = [text.get_text() for text in figure.texts]
    expected = [
        "† A, light recipe: accuracy 0 (and 3 more in the table)",
        "† XCiT-S12 light (published): accuracy 4 (and 1 more in the table)",
    ]
    assert " ".join(said.split()) == " ".join(expected)
    frame = pd.DataFrame({"model": list("abca"), "note": ["x", "x", "y", "x"]})
    assert style._doubts(frame) == ["† a, b: x", "† c: y"]


# Figure 10 and figure 9


def sweep(values, others=(None,), seeds=1, attacks=("pgd_linf",), n=100, **more):
    """Rows of a sweep, the accuracy of attacks falling along its values."""
    rows = []
    for other in others:
        for place, value in enumerate(values):
            for seed in range(seeds):
                for number, attack in enumerate(("clean", *attacks)):
                    ball = {"norm": "linf", "eps": 8 / 255} if number else {"norm": None, "eps": 0.0}
                    cell = {"swept": "decay", "at": value, "other": other, "cell": f"{other} {value}"}
                    result = proportion(n - n // 10 * number - 5 * place + seed, n) if number else proportion(n, n)
                    row = {"dataset": "d", "model": f"m-{other}{value}-s{seed}", "attack": attack}
                    rows.append(row | {"measure": "accuracy", "clean": 1.0} | ball | cell | result | more)
    return rows


def test_a_numeric_sweep_is_a_curve_over_its_values_whatever_the_accuracy(made):
    figure = made("fig10", sweep([1.0, 0.0, 0.5], seeds=2, attacks=("pgd_linf", "apgd_linf")))
    (axis,) = figure.axes
    curves = [line for line in axis.lines if line.get_marker() == "None" and line.get_ls() == "-"]
    assert [line.get_xdata().tolist() for line in curves] == [[0, 0.5, 1]] * 3
    assert curves[1].get_ydata() == pytest.approx([0.855, 0.805, 0.905]), "the mean over seeds"
    assert axis.get_xlabel() == "decay" and test_universality.ticks(axis.get_xticklabels()) == ["0", "0.5", "1"]
    points = [line for line in axis.lines if line.get_ls() == "None"]
    assert [len(line.get_xdata()) for line in points] == [6] * 3
    assert len({line.get_marker() for line in points}) == 3
    assert test_universality.legend(figure) == ["clean", "pgd, Linf 8/255", "apgd, Linf 8/255"]


def test_a_second_key_has_a_panel_per_value(made):
    figure = made("fig10", sweep([1, 2], others=("shape constant", "shape linear")))
    assert [axis.get_title() for axis in figure.axes] == ["shape constant", "shape linear"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 2, 5], "linear"), ([0.01, 0.1, 1], "log"), ([0, 0.01, 1], "symlog"), ([-1, 0, 100], "linear")],
)
def test_values_that_span_tens_are_on_a_logarithmic_axis(made, values, scale):
    (axis,) = made("fig10", sweep(values)).axes
    assert axis.get_xscale() == scale and len(axis.get_xticks()) == 3


def test_several_sets_of_images_are_told_apart_in_the_legend(made):
    rows = sweep([1, 2, 3], attacks=("pgd_linf",), n=400) + sweep([1, 2, 3], attacks=("autoattack_linf",), n=50)
    names = test_universality.legend(made("fig10", rows))
    expected = ["clean (400 images)", "clean (50 images)", "pgd, Linf 8/255 (400 images)"]
    assert names == [*expected, "autoattack, Linf 8/255 (50 images)"]


def test_two_attacks_of_one_short_name_have_their_whole_names(made):
    names = test_universality.legend(made("fig10", sweep([1, 2], attacks=("pgd_weak", "pgd_strong"))))
    assert names == ["clean", "pgd_weak", "pgd_strong"]


def test_a_line_is_drawn_for_every_attack_and_model_however_many(made):
    attacks = [f"a{number}_linf" for number in range(8)]
    (axis,) = made("fig10", sweep([1, 2], attacks=attacks)).axes
    assert len(axis.get_legend_handles_labels()[1]) == 9
    one = test_figures.fig9()[:3]
    (axis,) = made("fig9", [row | {"model": f"m{number}"} for number in range(9) for row in one]).axes
    assert len(axis.lines) == 9
    assert len({(line.get_color(), line.get_marker()) for line in axis.lines}) == 9


def test_figure_9_has_a_line_per_set_of_images_and_a_panel_per_data_set(made):
    few = [row | {"n": 50} for row in test_figures.fig9()[:3]]
    child = [row | {"dataset": "child"} for row in test_figures.fig9()[:3]]
    ours, other, published = made("fig9", few + test_figures.fig9()[:6] + child + test_figures.fig9()[6:]).axes
    labels = [text.get_text() for text in ours.get_legend().get_texts()]
    assert labels == ["A, light recipe\n(50 images)", "A, light recipe\n(100 images)", "my.net_v2\n(100 images)"]
    assert [axis.get_title() for axis in (ours, other, published)] == [
        "d, autoattack",
        "child, autoattack",
        "published, ImageNet, autoattack",
    ]
