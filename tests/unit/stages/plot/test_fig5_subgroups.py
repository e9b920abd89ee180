"""Figure 5: what is drawn is what the table holds, and what is tested is drawn."""

import numpy as np
import pandas as pd
import pytest
import test_universality
from matplotlib import pyplot
from matplotlib.colors import to_rgba

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages.plot import fig5_subgroups, style
from mettle.stages.tabulate import universality

PARTS = ("agree", "agree_matched", "disagree_matched", "disagree")  # from left to right
LEVELS = (0.0, 0.5, 1.0)
PAIRS = 6
FEW = "rests on fewer than 30 images"


def table(tmp_path, methods=("cka", "procrustes", "rtd", "jaccard"), agree=(300,) * 3, gone=(), note=None):
    """The table of pairs that agree on so many of 360 images by eps, less one per pair; `gone` lack values at eps 0."""
    rng = np.random.default_rng(0)
    rows = []
    for method in methods:
        for eps, most in zip(LEVELS, agree, strict=True):
            for pair in range(PAIRS):
                sizes = {"agree": most - pair, "disagree": 360 - most + pair}
                for part in PARTS:
                    missing = part in gone and eps == 0
                    n = min(sizes.values()) if part.endswith("_matched") else sizes[part]
                    value = None if missing else rng.uniform(0.2, 0.9) - (0.1 if part.startswith("dis") else 0)
                    rows.append(
                        {"dataset": "d", "images": "natural", "subgroup": part, "model": f"m{pair}", "model_b": "n"}
                        | {"norm": None, "eps": eps, "measure": method, "method": method, "n": n}
                        | {"value": value, "lo": None, "hi": None, "note": "too few" if missing else note}
                    )
    options = {"models": [f"m{i}" for i in range(PAIRS)] + ["n"], "resamples": 99, "seed": 0}
    whole = universality.figure5(pd.DataFrame(rows, dtype=object), options, [])
    tables.write(tmp_path / "fig5.parquet", FIGURES["fig5"].table, whole)
    return tables.read(tmp_path / "fig5.parquet", FIGURES["fig5"].table)


@pytest.fixture
def drawn():
    """The figure of a table, closed in the end."""
    figures = []

    def draw(whole):
        figures.append(fig5_subgroups.draw(whole))
        figures[-1].canvas.draw()
        test_universality.texts_have_room(figures[-1])
        return figures[-1]

    yield draw
    for figure in figures:
        pyplot.close(figure)


def boxes(axis):
    """Centre of each box, its colour, and the values of its points, from left to right."""
    found = []
    for patch, points in zip(axis.patches, axis.collections, strict=True):
        x = patch.get_path().vertices[:, 0]
        centre = (x.min() + x.max()) / 2
        at = points.get_offsets()
        assert (x.min() <= at[:, 0]).all() and (at[:, 0] <= x.max()).all(), "points lie in their box"
        found.append((centre, patch.get_facecolor(), sorted(at[:, 1].tolist())))
    return sorted(found, key=lambda box: box[0])


def scores(whole, eps, *parts):
    """Sorted scores of each part."""
    rows = whole[(whole["eps"] == eps) & (whole["model"] != "all")]
    return [sorted(rows.loc[rows["subgroup"] == part, "value"].astype(float)) for part in parts]


def legend(*parts):
    return [fig5_subgroups.GROUPS[part][0] for part in parts]


def test_four_panels_with_all_pairs_and_levels(tmp_path, drawn):
    figure = drawn(table(tmp_path))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == "CKA" and "RTD" in titles[2] and len(titles) == 4
    for axis in figure.axes:
        labels = [tick.get_text() for tick in axis.get_xticklabels()]
        assert labels == ["0\nn 60\nto 65", "0.5\nn 60\nto 65", "1\nn 60\nto 65"]
        assert sum(len(c.get_offsets()) for c in axis.collections) == PAIRS * 3 * 3  # pairs, eps, drawn subgroups


@pytest.mark.parametrize(
    ("agree", "shown"),
    [
        ((300, 300, 300), PARTS[:3]),
        ((100, 100, 100), PARTS[1:]),
        ((300, 182, 100), PARTS),
        ((180, 180, 180), PARTS[1:]),
    ],
    ids=["more agreement", "more disagreement", "both", "by a few images"],
)
def test_both_tested_parts_are_drawn_and_the_whole_of_one_that_is_the_larger(agree, shown, tmp_path, drawn):
    whole = table(tmp_path, methods=("cka",), agree=agree)
    (axis,) = (figure := drawn(whole)).axes
    found = boxes(axis)
    assert len(found) == len(shown) * 3
    expected = [values for eps in LEVELS for values in scores(whole, eps, *shown)]
    for (_, _, values), wanted in zip(found, expected, strict=True):
        assert values == pytest.approx(wanted)
    dark = [shade for _, shade, _ in found if shade[3] == 1]
    assert dark == [to_rgba(style.AGREE), to_rgba(style.DISAGREE)] * 3, "what is tested stands side by side"
    assert test_universality.legend(figure) == legend(*shown)


def test_the_mark_is_of_the_boxes_that_are_drawn_dark(tmp_path, drawn):
    whole = table(tmp_path, methods=("cka",), agree=(100,) * 3)
    larger = (whole["subgroup"] == "agree_matched") & (whole["eps"] == 0.5)
    whole.loc[larger, "value"] = whole.loc[larger, "value"] + 5
    tested = universality.figure5(
        whole[whole["model"] != "all"], {"models": [*{*whole["model"], "n"}], "resamples": 999, "seed": 0}, []
    )
    tables.write(tmp_path / "again.parquet", FIGURES["fig5"].table, tested)
    (axis,) = drawn(tables.read(tmp_path / "again.parquet", FIGURES["fig5"].table)).axes
    assert axis.texts[1].get_text() == "*", "the least p of six pairs is 1/32"
    means = [np.mean(values) for _, shade, values in boxes(axis) if shade[3] == 1]
    assert means[2] - means[3] > 4


@pytest.mark.parametrize("agree", [300, 100], ids=["smaller one gone", "larger one gone"])
def test_boxes_and_points_keep_their_places_where_one_part_has_no_values(agree, tmp_path, drawn):
    (axis,) = drawn(table(tmp_path, methods=("cka",), agree=(agree,) * 3)).axes
    before = boxes(axis)
    (axis,) = drawn(
        table(tmp_path, ("cka",), (agree,) * 3, gone=("agree_matched", "disagree_matched", "disagree"))
    ).axes
    after = boxes(axis)
    assert axis.texts[0].get_text() == "–" and len(after) == len(before) - (2 if agree == 300 else 3)
    places = {round(place, 6): shade for place, shade, _ in before}
    for place, shade, _ in after:
        assert places[round(place, 6)] == shade
    assert axis.get_xticklabels()[0].get_text() == "0", "no n where nothing is tested"


def test_a_measure_without_any_value_has_an_empty_panel(tmp_path, drawn):
    whole = table(tmp_path, methods=("cka", "rtd"))
    whole.loc[whole["measure"] == "rtd", ["value", "lo", "hi", "p"]] = pd.NA
    empty = drawn(whole).axes[1]
    assert not empty.patches and [text.get_text() for text in empty.texts] == ["–"] * 3


def test_n_has_a_mark_where_scores_rest_on_few_images(tmp_path, drawn):
    whole = table(tmp_path, methods=("cka",), agree=(300, 345, 345))
    whole.loc[(whole["eps"] == 1) & (whole["n"] < 30), "note"] = FEW
    (axis,) = drawn(whole).axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [
        "0\nn 60\nto 65",
        "0.5\nn 15\nto 20",
        "1\nn 15\nto 20†",
    ]


def test_distances_are_turned_so_that_up_is_more_alike(tmp_path, drawn):
    whole = table(tmp_path, methods=("rtd",))
    (axis,) = drawn(whole).axes
    points = np.concatenate([c.get_offsets()[:, 1] for c in axis.collections])
    expected = [value for eps in LEVELS for values in scores(whole, eps, *PARTS[:3]) for value in values]
    np.testing.assert_allclose(np.sort(points), np.sort(-np.array(expected)))


@pytest.mark.parametrize(("p", "mark"), [(0.0001, "***"), (0.005, "**"), (0.03, "*"), (0.2, "n.s.")])
def test_marks_of_p_values(p, mark):
    assert fig5_subgroups._stars(pd.Series([p], dtype="Float64")) == mark


def test_same_table_same_bytes(tmp_path):
    whole = table(tmp_path)
    for name in ("a", "b"):
        style.save(fig5_subgroups.draw(whole), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
