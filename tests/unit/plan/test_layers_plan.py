"""The figures of layers and of activations: their cells, what their jobs are told, and what is refused."""

import pytest

from mettle.plan.figures import FIGURES
from workplace import BASE, DATASETS, Workplace

WEAK = {"norm": "linf", "eps": "4/255", "steps": 2}
ONE = {"dataset": "ten", "models": ["resnet8-plain-s0"]}
TWO = {"dataset": "ten", "models": ["resnet8-plain-s0", "vgg5-plain-s0"]}
VIT = "vit_mini-plain-s0"


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    rows = [("ten", "resnet8", "plain", 0), ("ten", "vgg5", "plain", 0), ("ten", "vit_mini", "plain", 0)]
    found.models([*rows, ("two", "vgg5", "plain", 1)])
    return found


def plan(place, comparisons=(ONE, TWO), activations=None, layers=None, represent=None, **blocks):
    figures = {"layers": {"comparisons": list(comparisons)} | (layers or {})}
    figures["tokens_activations"] = {"dataset": "ten", "models": [VIT], "attack": "weak"} | (activations or {})
    blocks = {"compare": {"measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}}}} | blocks
    return place.plan(figures=figures, represent=represent or {}, drift={"attacks": {"weak": WEAK}}, **blocks)


def test_cells_are_a_comparison_each_of_a_model_with_itself_or_another(place):
    folder = "results/compare_layers/ten"
    own, both = (f"resnet8-plain-s0/{other}-plain-s0.parquet" for other in ("resnet8", "vgg5"))
    assert plan(place).cells("layers") == [f"{folder}/cka/{own}", f"{folder}/cka/{both}"]
    assert plan(place, [TWO], layers={"measure": "near"}).cells("layers") == [f"{folder}/near/{both}"]
    assert plan(place).figure("layers")["labels"].keys() == {"resnet8-plain-s0", "vgg5-plain-s0"}


def test_layers_are_named_by_model_before_architecture(place):
    entries = {"resnet8": ["stem"], "vgg5-plain-s0": ["features.3"], "vgg5": ["features.6"]}
    found = plan(place, represent={"layers": entries})
    named = {name: found.named_layers({"model": name}) for name in found.models}
    assert named == {
        "resnet8-plain-s0": ["stem"],
        "vgg5-plain-s0": ["features.3"],
        "vgg5-plain-s1": ["features.6"],
        VIT: None,
    }


def test_an_entry_for_nothing_is_refused_before_anything_runs(place):
    said = r"represent\.layers: 'resnet9' is neither a model nor the architecture of one: did you mean 'resnet8'\?"
    represent = {"layers": {"resnet9": ["stem"]}}
    with pytest.raises(ValueError, match=said):
        plan(place, represent=represent)
    with pytest.raises(ValueError, match=said):
        place.plan(represent=represent).named_layers({"model": VIT})


@pytest.mark.parametrize(
    ("comparison", "layers", "said"),
    [
        (ONE | {"models": ["resnet8-plain-s1"]}, {}, r"comparisons\.0\.models: unknown model 'resnet8-plain-s1': did"),
        (ONE | {"dataset": "tne"}, {}, r"comparisons\.0\.dataset: unknown data set 'tne': did you mean 'ten'\?"),
        (ONE | {"models": ["vgg5-plain-s1"]}, {}, r"comparisons\.0\.models: 'vgg5-plain-s1' is not a model of 'ten'"),
        (ONE, {"measure": "cak"}, r"figures\.layers\.measure: unknown measure 'cak': did you mean 'cka'\?"),
        (ONE | {"models": ["a", "b", "c"]}, {}, r"figures\.layers\.comparisons\.0\.models"),
    ],
)
def test_what_cannot_be_compared_is_refused(place, comparison, layers, said):
    with pytest.raises(ValueError, match=said):
        plan(place, [comparison], layers=layers)


def test_measures_that_need_more_images_or_a_gpu_are_refused(place):
    with pytest.raises(
        ValueError, match=r"layers\.measure: k 3 of measure 'near' needs \d+ images, represent\.sample is 3"
    ):
        plan(place, represent={"sample": 3}, layers={"measure": "near"}).cells("layers")
    measures = {"compare": {"measures": {"cka": {}, "slow": {"method": "rtd", "engine": "ripser++"}}}}
    with pytest.raises(ValueError, match=r"measure: 'slow' computes on a GPU, layers are compared without one"):
        plan(place, layers={"measure": "slow"}, **measures).cells("layers")


def test_a_dense_model_has_no_layers_to_compare(place):
    place.datasets(DATASETS, "lanes\tclassification, segmentation\t10\t64\tstreets\ttrain\ttest")
    dense = {key: BASE[key] for key in ("epochs", "batch_size", "optimizer", "schedule")}
    place.recipe("dense", dense | {"task": "segmentation", "input": BASE["input"] | {"size": 64}})
    place.models([("ten", "vit_mini", "plain", 0), ("ten", "resnet8", "plain", 0), ("lanes", "resnet18", "dense", 0)])
    named = {"dataset": "lanes", "models": ["resnet18-dense-s0"]}
    said = (
        "is a model of segmentation, but features are compared of classifiers and of networks without a head: name its"
    )
    with pytest.raises(ValueError, match=said):
        plan(place, [named])
    with pytest.raises(ValueError, match=said):
        plan(place, [ONE], activations=named)
    with pytest.raises(ValueError, match=said):
        plan(place, [ONE]).plain_store({"model": "resnet18-dense-s0", "dataset": "lanes"})


# Activations


def test_activations_are_cells_of_an_attack_on_features_with_surfaces_where_asked_for(place):
    found = plan(place)
    assert found.cells("tokens_activations") == [f"results/activations/ten/{VIT}/weak.parquet"]
    assert found.beside("tokens_activations") == []
    assert FIGURES["tokens_activations"].draws and found.seed_of_figure("tokens_activations") == 0
    found = plan(place, activations={"surface": "blocks.1"})
    assert found.beside("tokens_activations") == [f"results/activations/ten/{VIT}/weak.surface.parquet"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"attack": "waek"}, r"tokens_activations\.attack: unknown attack on features 'waek': did you mean 'weak'\?"),
        ({"models": ["vgg5-plain-s1"]}, r"tokens_activations\.models: 'vgg5-plain-s1' is not a model of 'ten'"),
        ({"dataset": "tne"}, r"tokens_activations\.dataset: unknown data set 'tne': did you mean 'ten'\?"),
    ],
)
def test_unknown_names_are_refused(place, own, said):
    with pytest.raises(ValueError, match=said):
        plan(place, activations=own).cells("tokens_activations")
