"""docs/demo.md: its tables come from the tables of a demo, and say what these hold."""

import sys

import pytest
import test_figures
import test_universality

from imports import ROOT
from mettle import tables
from mettle.plan.figures import FIGURES

sys.path.append(str(ROOT / "docs"))
import blocks
import make_demo

ROWS = {**test_universality.ROWS, **test_figures.ROWS}
MADE_BY = {"rule": "x", "revision": 1, "commit": "abc", "processor": "Xeon (avx2)", "versions": {"torch": "2.13.0"}}


def accuracy():
    cell = {"dataset": "d", "split": "test", "measure": "accuracy", "n": 10, "lo": None, "hi": None, "clean": None}
    cell |= {"norm": "l2", "eps": 1.0, "over": None, "note": None}
    values = {"a": (0.9, 0.2), "b": (0.7, 0.4), "c": (0.8, 0.6)}
    return [
        cell | {"model": model, "attack": attack, "value": value}
        for model, both in values.items()
        for attack, value in zip(("clean", "pgd"), both, strict=True)
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo whose tables are those that the tests of drawings draw."""
    results = tmp_path_factory.mktemp("results")
    for figure, rows in {**ROWS, "accuracy": accuracy}.items():
        tables.write(results / "tables" / f"{figure}.parquet", FIGURES[figure].table, rows(), MADE_BY)
    return make_demo.Demo(results, {"a": "standard", "b": "standard", "c": "robust"})


def cells(part):
    """Cells of a table in Markdown, row by row, its head first and without the line below it."""
    lines = [line.strip("| ").split("|") for line in part.strip().splitlines()]
    return [[cell.strip() for cell in line] for line in [lines[0], *lines[2:]]]


def test_accuracies_are_means_over_the_models_of_a_recipe(demo):
    assert cells(demo.part("accuracy")) == [
        ["recipe", "models", "images", "clean", "pgd"],
        ["standard", "2", "10", "0.800", "0.300"],
        ["robust", "1", "10", "0.800", "0.600"],
    ]


def test_agreement_is_what_disagreement_leaves_with_its_interval_turned_round(demo):
    head, *rows = cells(demo.part("agreement"))
    assert head == ["data set", "measure", "eps", "natural images", "inverted images"]
    (first,) = (row for row in rows if row[:3] == ["one", "agreement", "0.5"])
    assert first[3] == "0.69 (0.67 to 0.72)", "of a disagreement of 0.315, from 0.285 to 0.33"
    assert {row[1] for row in rows} == {"agreement", "jsd"}


def test_subgroups_have_their_means_and_p_values(demo):
    head, *rows = cells(demo.part("subgroups"))
    assert head[:3] == ["measure", "eps", "right"] and "p, right, equal n - wrong, equal n" in head
    (robust,) = (row for row in rows if row[1] == "0.5")
    assert robust[head.index("p, right, equal n - wrong, equal n")] == "0.003"


def test_effectiveness_is_that_of_the_last_epoch(demo):
    head, *rows = cells(demo.part("effectiveness"))
    assert head == ["model", "accuracy, 1 step", "accuracy, most steps", "loss gap, 1 step"]
    assert rows[0] == ["A, light recipe", "0.890", "0.400", "0.500"]


def test_autoattack_leaves_published_values_out_and_writes_eps_as_fractions(demo):
    head, *rows = cells(demo.part("autoattack"))
    assert head == ["model", "images", "0/255", "4/255", "8/255"]
    assert [row[0] for row in rows] == ["A, light recipe", "my.net_v2"]


def test_the_share_of_judges_is_a_mean_over_them(demo):
    assert cells(demo.part("semantics"))[1] == ["A, light recipe", "3", "0.25", "0.25", "0.25"]


def test_the_page_has_a_place_for_every_part_and_says_what_made_it(demo):
    page = make_demo.PAGE.read_text(encoding="utf-8")
    assert sorted(blocks.names(page)) == sorted(["made", *make_demo.PARTS])
    filled = blocks.fill(page, demo.part)
    assert "commit abc, Xeon (avx2), torch 2.13.0." in filled
    assert blocks.fill(filled, demo.part) == filled, "a second time changes nothing"
    assert all((make_demo.PAGE.parent / picture).exists() for picture in blocks.pictures(page))


def test_a_table_that_has_not_been_made_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"fig9\.parquet does not exist: run `make demo FIGURES=all` first$"):
        make_demo.Demo(tmp_path, {}).part("autoattack")
