"""Tables turned to a line per model and a column per condition: nothing is lost, mixed up or merged."""

import re

import pandas as pd
import pytest

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.tables.pivots import pivot

ACCURACY = FIGURES["accuracy"].table
NUMBER = {"n": 100, "lo": None, "hi": None, "note": None}


def rows(*cells, **same):
    """Rows of accuracies: (model, attack, norm, eps, value)."""
    found = [dict(zip(("model", "attack", "norm", "eps", "value"), cell, strict=True)) for cell in cells]
    return pd.DataFrame(
        [{"dataset": "d", "split": "test", "measure": "accuracy"} | row | NUMBER | same for row in found]
    )


TWO = rows(
    ("a", "clean", None, 0.0, 0.9),
    ("a", "pgd", "linf", 4 / 255, 0.4),
    ("b", "clean", None, 0.0, 0.8),
    ("b", "pgd", "linf", 4 / 255, 0.5),
)


def values(found):
    return {tuple(keys): [row and row["value"] for row in cells] for keys, cells in found.lines}


def test_a_line_per_model_and_a_column_per_attack():
    found = pivot(ACCURACY, TWO)
    assert found.keys == ["model"] and found.heads == [["clean"], ["pgd", "Linf 4/255"]]
    assert values(found) == {("a",): [0.9, 0.4], ("b",): [0.8, 0.5]}
    assert found.fixed == {"dataset": "d", "split": "test", "measure": "accuracy"}


def test_two_balls_of_one_attack_are_two_columns():
    more = rows(("a", "pgd", "linf", 8 / 255, 0.1), ("a", "pgd", "l2", 8 / 255, 0.3))
    found = pivot(ACCURACY, pd.concat([TWO, more]))
    assert found.heads[1:] == [["pgd", "Linf 4/255"], ["pgd", "Linf 8/255"], ["pgd", "L2 8/255"]]
    assert values(found) == {("a",): [0.9, 0.4, 0.1, 0.3], ("b",): [0.8, 0.5, None, None]}


def test_published_numbers_are_lines_and_columns_of_their_own():
    ours = rows(("a", "clean", "linf", 0.0, 0.9), ("a", "autoattack", "linf", 8 / 255, 0.3), source="here")
    theirs = rows(("a", "clean", "linf", 0.0, 0.7), ("a", "autoattack", "linf", 4 / 255, 0.4), source="paper")
    found = pivot(FIGURES["fig9"].table, pd.concat([ours, theirs]).drop(columns="split"))
    assert found.keys == ["model", "source"]
    assert values(found) == {("a", "here"): [0.9, 0.3, None], ("a", "paper"): [0.7, None, 0.4]}
    assert found.heads[1:] == [["autoattack", "Linf 8/255"], ["autoattack", "Linf 4/255"]]


def test_pairs_have_a_column_per_measure_and_keep_the_eps_of_their_training():
    same = {"dataset": "d", "images": "natural", "norm": "linf", "value": 0.5} | NUMBER
    pairs = [
        same | {"model": a, "model_b": b, "eps": eps, "measure": measure, "method": measure}
        for a, b in [("a", "b"), ("a", "c"), ("all", "all")]
        for eps in (0.0, 4 / 255)
        for measure in ("cka", "rtd")
    ]
    found = pivot(FIGURES["fig2"].table, pd.DataFrame(pairs))
    assert found.keys == ["model", "model_b", "eps"] and found.heads == [["cka"], ["rtd"]]
    assert found.fixed == {"dataset": "d", "images": "natural", "norm": "linf"}
    assert sum(row is not None for _, cells in found.lines for row in cells) == len(pairs)


def test_corruptions_name_severity_and_statistic_where_they_are_not_plain():
    same = {"dataset": "d", "split": "test", "task": "t", "measure": "accuracy", "value": 0.5, "source": None} | NUMBER
    cells = [("clean", 0, "score"), ("fog", 3, "score"), ("mean", None, "mpc")]
    names = ("corruption", "severity", "statistic")
    table = [
        same | {"model": model, "mode": None} | dict(zip(names, cell, strict=True)) for model in "ab" for cell in cells
    ]
    found = pivot(FIGURES["robustness"].table, pd.DataFrame(table))
    assert found.heads == [["clean"], ["fog", "3"], ["mean", "mpc"]] and found.keys == ["model"]


@pytest.mark.parametrize(
    "frame",
    [
        TWO[TWO["attack"] == "clean"],  # one column
        pd.concat([TWO, TWO]),  # numbers that no key tells apart
        rows(*((str(k), f"attack{k}", "linf", 0.1, 0.5) for k in range(9))),  # each model has an attack of its own
        rows(*(("a", f"attack{k}", "linf", 0.1, 0.5) for k in range(61))),  # more columns than a page has room for
        TWO.drop(columns="model"),
    ],
    ids=["one column", "not unique", "gaps", "too many", "no model"],
)
def test_what_cannot_be_turned_stays_in_long_form(frame, tmp_path):
    assert pivot(ACCURACY, frame) is None
    tables.page(tmp_path / "page.html", ACCURACY, frame, {})
    html = (tmp_path / "page.html").read_text()
    assert "<details>" not in html and html.count("<tr>") == len(frame) + 1


def test_every_number_of_the_rows_is_in_the_page_with_interval_and_note(tmp_path):
    frame = TWO.assign(lo=0.25, hi=0.75, note=[None, "doubt <1>", None, "doubt <1>"])
    tables.page(tmp_path / "page.html", ACCURACY, frame, {})
    turned, whole = (tmp_path / "page.html").read_text().split("<details>")
    assert "<summary>All 4 rows, a row per number</summary>" in whole and whole.count("<tr>") == 5
    assert re.findall(r'title="([^"]+)">([\d.]+)(†?)', turned.split("<tbody>")[1]) == [
        ("0.25 to 0.75; n = 100", "0.9", ""),
        ("0.25 to 0.75; n = 100; doubt &lt;1&gt;", "0.4", "†"),
        ("0.25 to 0.75; n = 100", "0.8", ""),
        ("0.25 to 0.75; n = 100; doubt &lt;1&gt;", "0.5", "†"),
    ]
    assert turned.count("<p>† doubt &lt;1&gt;</p>") == 1
    assert "dataset <b>d</b>, split <b>test</b>, measure <b>accuracy</b>" in turned


def test_a_published_number_is_beside_the_measured_one(tmp_path):
    frame = TWO.drop(columns="split").assign(published=[0.91, None, None, None], difference=None, source="paper")
    tables.page(tmp_path / "page.html", FIGURES["published"].table, frame, {})
    turned = (tmp_path / "page.html").read_text().split("<details>")[0]
    assert turned.count("<small>published") == 1 and "0.9<br><small>published 0.91</small>" in turned


def test_many_notes_are_counted(tmp_path):
    frame = pd.concat([TWO.assign(model=TWO["model"] + str(k), note=f"note {k}") for k in range(6)])
    tables.page(tmp_path / "page.html", ACCURACY, frame, {})
    assert "† 6 different notes" in (tmp_path / "page.html").read_text()
