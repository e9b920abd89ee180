"""Figures 7 to 11: every model, step and cell of the table is drawn, and the same table gives the same bytes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from mettle import tables
from mettle.data.item import png
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import style

BALL = {"dataset": "d", "norm": "linf", "eps": 8 / 255}
NONE = {"lo": None, "hi": None, "note": None}
MODELS = (("a", "here"), ("my.net_v2", "here"), ("XCiT-S12 light", "Debenedetti et al. 2023"))
LABELS = {"a": "A, light recipe", "my.net_v2": "my.net_v2", "XCiT-S12 light": "XCiT-S12 light (published)"}
LABELS |= {"p": "ResNet-8 standard", "q": "WRN-10-1 standard (seed 1)", "r": "r"}


def fig7():
    rows = []
    attacks = [("clean", 0), ("pgd", 1), ("pgd", 10), ("pgd", 50), ("apgd", 20)]
    for model, source, epochs in [(*MODELS[0], (0, 5)), (*MODELS[1], (None,)), (*MODELS[2], (0, 5))]:
        for epoch in epochs:
            for attack, steps in attacks if source == "here" else attacks[:-1]:
                where = BALL | {
                    "model": model,
                    "source": source,
                    "epoch": epoch,
                    "attack": attack,
                    "steps": steps,
                    "n": 10,
                }
                rows.append(where | NONE | {"measure": "accuracy", "value": 0.9 - 0.01 * steps})
                if attack != "clean" and steps < 50:
                    rows.append(where | NONE | {"measure": "gap", "value": 0.5 / steps})
    return labelled(rows)


def fig8():
    values = [(model, source, image, steps) for model, source in MODELS for image in range(3) for steps in (0, 1, 10)]
    return labelled(
        [
            BALL
            | {"model": model, "source": source, "id": image, "steps": steps, "measure": "loss", "n": 5, "note": None}
            | {"value": steps + image, "lo": steps + image - 0.1, "hi": steps + image + 0.1}
            for model, source, image, steps in values
        ]
    )


def fig9():
    values = [(model, source, eps) for model, source in MODELS for eps in (0.0, 4 / 255, 8 / 255)]
    return labelled(
        [
            BALL
            | {"model": model, "source": source, "eps": eps, "attack": "autoattack", "measure": "accuracy", "n": 100}
            | ({"lo": 0.4, "hi": 0.6} if source == "here" else {"lo": None, "hi": None})
            | {"value": 0.5, "note": None, "clean": 0.5}
            for model, source, eps in values
        ]
    )


def fig10():
    return [
        BALL
        | {"model": f"a-{cell}-s0", "cell": f"mixup {cell}", "attack": attack, "measure": "accuracy", "n": 100}
        | {"value": value, "lo": value - 0.1, "hi": value + 0.1, "note": None, "clean": None}
        | {"swept": None, "at": None, "other": None}
        for cell, robust in (("x", 0.2), ("y", 0.6), ("z", 0.4))
        for attack, value in (("clean", 0.8), ("apgd_linf", robust))
    ]


def fig11():
    rows = []
    for model, _ in MODELS[:2]:
        cell = BALL | {"model": model, "attack": "pgd", "note": None}
        for judge in ("p", "q", "r"):
            shares = {"model_b": judge, "measure": "accuracy", "id": -1, "n": 10, "value": 0.25}
            rows.append(cell | shares | {"lo": 0.1, "hi": 0.4, "image": None})
        for image in range(4):
            picture = png(np.full((8, 8, 3), 60 * image, np.uint8))
            shown = {"model_b": model, "measure": "example", "id": image, "n": 1, "value": None, "image": picture}
            rows.append(cell | shown | NONE)
    return labelled(rows)


def fig12():
    rows = []
    for (model, source), held in zip(MODELS, ((0, 1, 10), (0,), (1,)), strict=True):
        for epoch in (0, 1):
            cell = {"model": model, "source": source, "epoch": epoch, "n": 100, "value": 0.5, "note": None}
            rows.append(cell | {"measure": "training", "steps": 0, "lo": None, "hi": None})
            interval = {"lo": 0.4, "hi": 0.6} if source == "here" else {"lo": None, "hi": None}
            rows += [cell | {"measure": "held out", "steps": steps} | interval for steps in held]
    return labelled(rows)


def curves():
    rows = []
    for model, start in (("a", 0.9), ("my.net_v2", 0.7)):
        cell = BALL | {"split": "test", "model": model, "measure": "accuracy", "n": 100, "clean": start, "note": None}
        parts = [("curve", "fmn", eps / 255, max(start - eps / 10, 0)) for eps in range(9)]
        parts += [("point", "pgd", 2 / 255, start - 0.1), ("point", "autoattack", 4 / 255, start - 0.45)]
        for part, attack, eps, value in parts:
            ends = {"lo": max(value - 0.05, 0), "hi": value + 0.05}
            rows.append(cell | {"part": part, "attack": attack, "eps": eps, "value": value} | ends)
    return labelled(rows)


ROWS = {"fig7": fig7, "fig8": fig8, "fig9": fig9, "fig10": fig10, "fig11": fig11, "fig12": fig12, "curves": curves}


def labelled(rows):
    """Rows with the labels of their models."""
    found = [row | {"label": LABELS[row["model"]]} for row in rows]
    return [row | {"label_b": LABELS[row["model_b"]]} if "model_b" in row else row for row in found]


def table(figure, folder):
    declared = FIGURES[figure].table
    tables.write(folder / f"{figure}.parquet", declared, ROWS[figure]())
    return tables.read(folder / f"{figure}.parquet", declared)


@pytest.fixture
def drawn(request, tmp_path):
    figure = plot.drawing_of(request.param)(table(request.param, tmp_path))
    figure.canvas.draw()
    yield figure
    pyplot.close(figure)


def assert_truetype(pdf):
    """The letters of a PDF are TrueType, as publishers ask, and none Type 3."""
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf and (b"/TrueType" in pdf or b"/CIDFontType2" in pdf)


@pytest.mark.parametrize("figure", ROWS)
def test_the_same_table_gives_the_same_bytes(figure, tmp_path):
    table(figure, tmp_path)
    paths = [tmp_path / f"{figure}{suffix}" for suffix in (".pdf", ".png")]
    plot.draw(figure, tmp_path / f"{figure}.parquet", *paths)
    first = [path.read_bytes() for path in paths]
    plot.draw(figure, tmp_path / f"{figure}.parquet", *paths)
    assert first == [path.read_bytes() for path in paths] and min(map(len, first)) > 3000
    assert_truetype(first[0])


@pytest.mark.parametrize("drawn", ["fig7"], indirect=True)
def test_figure_7_has_a_column_per_model_and_a_line_per_number_of_steps(drawn):
    assert len(drawn.axes) == 2 * 3
    assert [axis.get_title() for axis in drawn.axes[:3]] == [
        "A, light recipe\nLinf 8/255",
        "my.net_v2\nLinf 8/255",
        "XCiT-S12 light (published)\nLinf 8/255",
    ]
    above, below = drawn.axes[0], drawn.axes[3]
    assert {line.get_label() for line in above.lines} == {"clean", "PGD-1", "PGD-10", "PGD-50", "APGD-20"}
    assert {line.get_label() for line in below.lines} == {"PGD-1", "PGD-10", "APGD-20"}
    assert "APGD-20" not in {line.get_label() for line in drawn.axes[2].lines}, "not of the published study"
    one = next(line for line in above.lines if line.get_label() == "PGD-1")
    assert one.get_xdata().tolist() == [1, 6] and one.get_ydata().tolist() == pytest.approx([0.89, 0.89])
    texts = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert texts == ["clean", "PGD-1", "PGD-10", "PGD-50", "APGD-20"]
    assert drawn.axes[3].get_xlabel() == "epoch" and drawn.axes[4].get_xlabel() == "at the end"
    assert all(len(line.get_xdata()) == 1 for line in drawn.axes[1].lines) and not len(drawn.axes[1].get_xticks())


@pytest.mark.parametrize("drawn", ["fig8"], indirect=True)
def test_figure_8_has_a_line_per_image_and_their_mean(drawn):
    assert len(drawn.axes) == 3
    for axis in drawn.axes:
        assert len(axis.lines) == 3 + 1
        assert axis.lines[-1].get_ydata().tolist() == [1.0, 2.0, 11.0]


@pytest.mark.parametrize(("name", "rows"), [("fig7", 2), ("fig8", 1)])
def test_two_balls_never_share_a_panel(name, rows, tmp_path):
    found = table(name, tmp_path)
    more = found[found["model"] == "a"].assign(eps=4 / 255)
    figure = plot.drawing_of(name)(pd.concat([found, more], ignore_index=True))
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert sorted(title.rpartition("\n")[2] for title in titles) == ["Linf 4/255", *["Linf 8/255"] * 3]
    assert len(figure.axes) == 4 * rows and "A, light recipe\nLinf 4/255" in titles
    pyplot.close(figure)


@pytest.mark.parametrize("drawn", ["fig9"], indirect=True)
def test_figure_9_has_eps_in_units_of_a_grey_level(drawn):
    ours, published = drawn.axes
    assert len(ours.lines) == 2 and len(published.lines) == 1
    assert ours.lines[0].get_xdata().tolist() == pytest.approx([0, 4, 8])
    assert len(ours.collections) == 2 and len(published.collections) == 0, "intervals where there are some"
    assert "1/255" in ours.get_xlabel()
    assert [ours.get_title(), published.get_title()] == ["d, autoattack", "published, ImageNet, autoattack"]


@pytest.mark.parametrize("drawn", ["curves"], indirect=True)
def test_curves_are_steps_with_a_band_and_attacks_at_one_eps_are_marks(drawn):
    (axis,) = drawn.axes
    steps = [line for line in axis.lines if line.get_drawstyle() == "steps-post"]
    assert [line.get_xdata().tolist() for line in steps] == [pytest.approx(range(9))] * 2  # in grey levels
    assert steps[1].get_ydata()[:3].tolist() == pytest.approx([0.7, 0.6, 0.5])
    marks = {(line.get_marker(), line.get_color(), *map(float, line.get_xydata()[0])) for line in axis.lines[2:]}
    marks = {mark for mark in marks if mark[0] in ("o", "s")}
    colours = [line.get_color() for line in steps]
    assert {(mark, colours.index(colour), round(x, 6), round(y, 6)) for mark, colour, x, y in marks} == {
        ("o", 0, 2, 0.8),
        ("s", 0, 4, 0.45),
        ("o", 1, 2, 0.6),
        ("s", 1, 4, 0.25),
    }
    words = [text.get_text() for text in axis.get_legend().get_texts()]
    assert words == ["A, light recipe\n(100 images)", "my.net_v2\n(100 images)", "pgd", "autoattack"]


@pytest.mark.parametrize("drawn", ["fig10"], indirect=True)
def test_figure_10_orders_the_cells_by_robust_accuracy(drawn):
    (axis,) = drawn.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["mixup x", "mixup z", "mixup y"]
    assert {text.get_text() for text in drawn.legends[0].get_texts()} == {"clean", "apgd, Linf 8/255"}


@pytest.mark.parametrize("drawn", ["fig11"], indirect=True)
def test_figure_11_has_examples_and_a_share_per_judge(drawn):
    above, below = drawn.subfigs
    assert len(above.axes) == 2 * 4 and all(len(axis.images) == 1 for axis in above.axes)
    (heat,) = below.axes
    assert [text.get_text() for text in heat.texts] == ["0.25"] * 6
    assert [tick.get_text() for tick in heat.get_yticklabels()] == ["A, light recipe", "my.net_v2"]
    expected = ["ResNet-8 standard", "WRN-10-1 standard (seed 1)", "r"]
    assert [tick.get_text() for tick in heat.get_xticklabels()] == expected


@pytest.mark.parametrize("drawn", ["fig12"], indirect=True)
def test_figure_12_has_a_line_per_kind_of_accuracy(drawn):
    first, _, published = drawn.axes
    assert [len(axis.lines) for axis in drawn.axes] == [4, 2, 2]
    assert first.lines[0].get_xdata().tolist() == [1, 2]
    assert (
        published.get_title() == "XCiT-S12 light\n(published)" and published.lines[1].get_label() == "held out, PGD-1"
    )
    texts = {text.get_text() for text in drawn.legends[0].get_texts()}
    expected = {"training", "held out, clean", "held out, PGD-1", "held out, PGD-10"}
    assert texts == expected


def test_figure_12_of_paper_scale_has_room_for_its_legend_and_no_markers(tmp_path):
    epochs = [row | {"epoch": epoch} for row in fig12() if row["epoch"] == 0 for epoch in range(110)]
    rows = [row | {"n": 5000} if row["steps"] else row for row in epochs if row["source"] == "here"]
    names = [f"xcit_small_12_p16_224-light-s{seed}" for seed in range(4)]
    rows = [row | {"model": name, "label": name} for name in names for row in rows[:440]]
    rows += [row for row in epochs if row["source"] != "here"]
    tables.write(tmp_path / "t.parquet", FIGURES["fig12"].table, rows)
    figure = plot.drawing_of("fig12")(tables.read(tmp_path / "t.parquet", FIGURES["fig12"].table))
    figure.canvas.draw()
    assert len(figure.axes) == 5 and len(figure.legends[0].get_texts()) == 5
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert {line.get_marker() for axis in figure.axes for line in axis.lines} == {"None"}
    pyplot.close(figure)


def test_a_label_is_broken_into_lines_that_fit_wherever_it_can_be():
    assert style.wrapped("A, light recipe", 1.75) == "A, light recipe"
    assert style.wrapped("XCiT-S12, light recipe", 1.0) == "XCiT-S12, light\nrecipe"
    assert style.wrapped("my.net_v2", 0.4) == "my.net\n_v2"
