"""The studies that a report names: those of its figures, as README and CITATION.cff have them."""

import pytest
import yaml

from imports import ROOT
from mettle.plan.figures import FIGURES
from mettle.plan.studies import STUDIES, told


def test_studies_have_figures_that_there_are_and_share_none():
    names = [name for study in STUDIES for name in study.figures]
    assert len(set(names)) == len(names) and set(names) <= set(FIGURES)
    assert {name for name in FIGURES if name.startswith(("fig", "tokens_"))} <= set(names)


def test_studies_are_those_of_the_readme_and_the_citation():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["references"]
    assert {f"arXiv:{study.arxiv}" for study in STUDIES} == {one["identifiers"][0]["value"] for one in cited}
    assert {study.title for study in STUDIES} == {one["title"] for one in cited}
    assert all(f"https://arxiv.org/abs/{study.arxiv}" in readme for study in STUDIES)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (["fig13", "fig2", "accuracy"], ["figures 2, 13"]),
        (["fig7"], ["figure 7"]),
        (["published", "fig12", "transfer"], ["figure 12, published", "transfer"]),
        (["accuracy"], []),
    ],
)
def test_figures_are_told_in_words(figures, words):
    assert [text for _, text in told(figures)] == words
