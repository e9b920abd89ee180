"""The figure of predictions in the plan: which cells it needs, and what is refused; the demo's own rows."""

import pytest

from imports import ROOT
from mettle import schema
from mettle.plan import Plan
from mettle.plan.targets import unknown

MODELS = ["streets_vit-maps", "streets_tokens-depth"]
SEEN = "pgd_downstream_throughself"


def planned(**options):
    config = schema.read_yaml("config/config.yaml")
    config["attack"] |= {"pictures": 4}
    config["attack"]["attacks"]["aimed"] = {
        "method": "pgd",
        "norm": "linf",
        "eps": "1/255",
        "steps": 2,
        "target": "random",
    }
    config["figures"] = {"predictions": {"models": MODELS, "attack": SEEN} | options}
    return Plan(config)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_it_needs_the_pictures_of_its_models():
    expected = [f"results/pictures/streets/{model}/{SEEN}.parquet" for model in MODELS]
    assert planned().cells("predictions") == expected
    assert planned(images=4).checked("predictions")["images"] == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"models": ["streets_vit-classes"]},
            r"predictions\.models: 'streets_vit-classes' is a model of classification: pictures are of",
        ),
        (
            {"attack": "pgd_downstream"},
            r"predictions\.attack: 'pgd_downstream' has a grid: name one of pgd_downstream_thr",
        ),
        ({"attack": "pgd_up"}, r"predictions\.attack: unknown attack 'pgd_up'"),
        ({"attack": "aimed"}, r"attack\.attacks\.aimed"),
        ({"images": 5}, r"predictions\.images: 5 of 4 images: raise attack\.pictures"),
    ],
)
def test_what_is_wrong_is_said_before_work_starts(options, said):
    with pytest.raises(ValueError, match=said):
        planned(**options).checked("predictions")


def test_a_path_of_pictures_is_of_a_model_that_has_some():
    plan = planned()
    assert unknown(plan, f"results/pictures/streets/{MODELS[0]}/{SEEN}.parquet") is None
    text = unknown(plan, f"results/pictures/streets/streets_vit-classes/{SEEN}.parquet")
    assert text == "'streets_vit-classes' is a model of classification: pictures are of segmentation and depth"
    assert "did you mean 'streets_vit-maps'" in unknown(
        plan, f"results/pictures/streets/streets_vit-map/{SEEN}.parquet"
    )
