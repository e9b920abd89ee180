"""Captions: they say what the pictures show, of pictures that show it."""

import pytest
import test_figures
import test_universality
from matplotlib import pyplot

from imports import ROOT
from mettle import schema, tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import pairs, style

ROWS = {**test_universality.ROWS, **test_figures.ROWS}
OF_PAIRS = ("fig2", "fig3", "fig4", "fig5", "fig6", "fig13", "fig14", "fig15")


def caption(figure):
    """The caption of a figure, in one line."""
    return " ".join((ROOT / "workflow" / "report" / f"{figure}.rst").read_text(encoding="utf-8").split())


@pytest.fixture
def drawn(tmp_path):
    """Figures of rows, closed in the end."""
    figures = []

    def draw(name, rows):
        make, declared = plot.drawing_of(name), FIGURES[name].table
        tables.write(tmp_path / "t.parquet", declared, [dict.fromkeys(declared.columns) | row for row in rows])
        figures.append(make(tables.read(tmp_path / "t.parquet", declared)))
        return figures[-1]

    yield draw
    for figure in figures:
        pyplot.close(figure)


@pytest.mark.parametrize("figure", OF_PAIRS)
def test_points_are_pairs_where_they_are_few(figure):
    assert f"where {pairs.FEW} or fewer, else those beyond the whiskers" in caption(figure)


def test_captions_name_the_published_values_of_the_figures_that_have_some():
    options = schema.load("config")["properties"]["figures"]["properties"]
    drawn = [figure for figure, about in FIGURES.items() if about.draw]
    published = {figure for figure in drawn if "published" in options[figure]["properties"]}
    assert published == {figure for figure in drawn if "marked as published" in caption(figure)}
    assert published == {"fig7", "fig8", "fig9", "fig12"}, "the page of the demo names these"
    assert "figures 7, 8, 9 and 12 with the published curves" in (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("figure", sorted({*ROWS} - {"fig1"}))
def test_every_line_and_mark_of_a_picture_is_in_its_caption(figure, drawn):
    rows = [row | {"note": "a doubt", **({"baseline": 0.1} if "baseline" in row else {})} for row in ROWS[figure]()]
    found, text = drawn(figure, rows), caption(figure).lower()
    styles = {line.get_ls() for axis in found.axes for line in axis.lines}
    if figure in OF_PAIRS:
        assert ("--" in styles) <= ("dashed" in text) and (":" in styles) <= ("dotted" in text)
    written = [text.get_text() for text in found.findobj(pyplot.Text)]
    assert any(style.DOUBT in words for words in written) == ("dagger" in text)
    assert ("n/a" in written) <= ("n/a" in text)
    marks = {"–", "*", "**", "***", "n.s."} & set(written)
    assert not marks or ("a dash" in text and "n.s." in text)
