"""The sheets of robustness transfer at paper scale: the grid of Yamada & Otani 2022, and what it starts from."""

import pytest

from imports import ROOT
from mettle import schema
from mettle.plan import Plan, overlay, sources

ARCHS = {"swin_t": "swin_tiny_patch4_window7_224", "": "resnet50"}
BASES = {name: f"resnet50_{name}" for name in ("regular", "ant", "deepaug_augmix", "prime")} | {
    "swin_t": "swin_t_microsoft"
}
FOUR = {"regular", "ant", "deepaug_augmix", "swin_t"}
GRID = {
    "fixed_paper": FOUR,
    "fixed": FOUR,
    "full": FOUR | {"prime"},
    "full_prime": {"regular", "deepaug_augmix", "prime", "swin_t"},
}
TASKS = {"coco": "detection", "ade20k": "segmentation", "cifar10": "classification"}
ROWS = [(data, name, mode) for data in TASKS for mode, names in GRID.items() for name in sorted(names)]


@pytest.fixture(scope="module")
def plan():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Plan(overlay.laid(["config/config.yaml", "config/paper.yaml"]))


def test_the_sheet_has_the_studys_grid(plan):
    found = {name for name, row in plan.models.items() if row.get("transfer")}
    assert found == {f"{data}-{name}-{mode}" for data, name, mode in ROWS} and len(found) == 51
    assert {row["label"] for row in plan.models.values() if row.get("transfer")} != {""}


@pytest.mark.parametrize(("data", "name", "mode"), ROWS)
def test_a_model_stands_on_its_backbone_by_the_recipe_of_its_task(plan, data, name, mode):
    model = f"{data}-{name}-{mode}"
    row, recipe = plan.models[model], plan.recipe({"model": model})
    base = "swin_t_openmmlab" if (data, name) == ("coco", "swin_t") else BASES[name]
    assert (row["dataset"], row["transfer"], row["base"], row["apart"]) == (data, mode, base, "yes")
    assert row["arch"] == plan.models[base]["arch"] == ARCHS.get(name, "resnet50")
    assert recipe["task"] == TASKS[data]
    assert ("prime" in recipe["augment"]) == (mode == "full_prime")


def test_learning_rates_of_detection_are_the_studys(plan):
    rates = {
        (name, mode): plan.recipe({"model": f"coco-{name}-{mode}"})["optimizer"]["lr"]
        for mode, names in GRID.items()
        for name in names
    }
    assert rates.pop(("regular", "full")) == 0.02
    assert {rate for (name, _), rate in rates.items() if name == "swin_t"} == {0.0001}
    assert {rate for (name, _), rate in rates.items() if name != "swin_t"} == {0.04}


def test_backbones_are_published_checkpoints_with_licence_and_reference(plan):
    sheet = schema.read_sheet(ROOT / "config" / "models" / "transfer_backbones.tsv", "models")
    found = {name: plan.models[name] for name in sheet}
    assert len(found) == 12 and {row["base"] for row in plan.models.values() if row.get("transfer")} < found.keys()
    for row in found.values():
        assert row["dataset"] == "imagenet" and row["apart"] == "yes" and row["licence"] and "arXiv" in row["reference"]
        assert sources.parse(row["source"], "here").scheme in ("https", "hf", "zenodo")
    assert {name: row["format"] for name, row in found.items() if "swin" in name} == {
        "swin_t_microsoft": "swin",
        "swin_t_openmmlab": "openmmlab",
    }
    balls = {row["eps"] for row in found.values() if row["threat"] == "l2"}
    assert balls == {0.1, 0.5, 1.0, 3.0, 5.0} and all(
        row["eps"] == 0 for row in found.values() if row["threat"] != "l2"
    )


def test_figures_show_the_grid(plan):
    assert len(plan.cells("transfer")) == 39 and len(plan.cells("prime")) == 27
    assert len(plan.cells("robustness")) == 12


# The released models

KINDS = {"fixedfeature": FOUR, "fullnetwork": FOUR, "primefinetune": GRID["full_prime"]}
TOKENS = {"deepaug_augmix": "deepaugaugmix", "swin_t": "swinT"}
FILES = {"cocodetect": ("coco", "epoch_24"), "ade20k": ("ade20k", "iter_80000")}
RELEASE = "https://github.com/runopti/RobustDownstreamTransfer/releases/download/v1.0.0"


def test_the_24_released_models_are_there_under_the_names_of_their_files(plan):
    found = schema.read_sheet(ROOT / "config" / "models" / "transfer_published.tsv", "models")
    tokens = [(kind, TOKENS.get(name, name)) for kind, names in KINDS.items() for name in sorted(names)]
    expected = {f"{kind}_{task}_{token}" for kind, token in tokens for task in FILES}
    assert found.keys() == expected and len(found) == 24
    for name, row in found.items():
        data, end = FILES[name.split("_")[1]]
        assert (row["dataset"], row["source"]) == (data, f"{RELEASE}/{name}_{end}.pth")
        recipe = plan.recipe({"model": name})
        assert (recipe["task"], recipe["backbone"]["names"]) == (TASKS[data], "native")
        assert row["arch"] == ARCHS["swin_t" if name.endswith("swinT") else ""]
        told = plan.converted_dense_row({"model": name})
        maps = {"coco": (80, None), "ade20k": (150, 255)}[data]
        assert (told["transfer"], told["map_classes"], told["ignore"]) == ("full", *maps)
    whole = {name for name in plan.converted_dense if not plan.has_head(name)}
    assert whole == expected and expected.isdisjoint(plan.converted)


def test_one_of_them_was_trained_on_pixels_without_normalisation(plan):
    inputs = {name: plan.recipe({"model": name})["input"] for name in plan.converted_dense}
    raw = [name for name, shape in inputs.items() if shape["mean"] == [0, 0, 0]]
    assert raw == ["primefinetune_ade20k_swinT"] and inputs[raw[0]]["std"] == [1 / 255] * 3
    assert all(inputs[name]["mean"] == [0.485, 0.456, 0.406] for name in inputs if name not in raw)
