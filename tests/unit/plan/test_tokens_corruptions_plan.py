"""The figure of heads under corruptions in the plan: its cells, the words for its models, and what is refused."""

import pytest

from imports import ROOT
from mettle import schema
from mettle.plan import Plan
from mettle.plan.figures import FIGURES

MODELS = ["streets_vit-maps", "streets_tokens-maps-stock", "streets_tokens-maps"]


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


def planned(**options):
    figure = {"models": MODELS, "corruptions": "fifteen"} | options
    return Plan(schema.read_yaml("config/config.yaml") | {"figures": {"tokens_corruptions": figure}})


def test_its_cells_are_scores_of_its_models():
    assert planned().cells("tokens_corruptions") == [
        f"results/robustness/streets/{model}/fifteen.parquet" for model in MODELS
    ]


def test_series_are_named_by_tokens_and_head_and_by_network_where_there_are_several():
    plan = planned()
    told = FIGURES["tokens_corruptions"].told(plan, plan.checked("tokens_corruptions"))
    words = ["no tokens", "20 tokens, stock head", "20 tokens, own head"]
    assert [row["backbone"] for row in told["rows"].values()] == words
    assert {row["mode"] for row in told["rows"].values()} == {"fixed"}
    plan.models["streets_vit-maps"]["base"] = "digits_vit"
    plan.models["digits_vit"]["label"] = "another"
    told = FIGURES["tokens_corruptions"].told(plan, plan.checked("tokens_corruptions"))
    assert told["rows"]["streets_vit-maps"]["backbone"] == "another: no tokens"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"corruptions": "fiften"}, r"tokens_corruptions\.corruptions: unknown .*'fiften'.*'fifteen'"),
        ({"models": ["streets_up"]}, r"tokens_corruptions\.models: unknown model 'streets_up'"),
    ],
)
def test_what_is_wrong_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        planned(**options).checked("tokens_corruptions")
