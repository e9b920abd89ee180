"""Rows and recipes of segmentation and detection: what fits, and a sentence for what does not."""

import pytest
import yaml

from mettle import schema
from mettle.augment import MASK_SAFE, PRIMITIVES
from mettle.plan import Plan, recipes, targets, trained
from mettle.plan.work import Work

HEAD = "model\tdataset\tarch\trecipe\tseed\tsource\tbase\ttransfer\n"
BASE = {"model": "net", "dataset": "scenes", "arch": "resnet18", "recipe": "plain", "seed": "0", "source": "train"}
ROW = {"model": "map", "dataset": "lanes", "arch": "resnet18", "recipe": "dense", "seed": "0", "source": "train"}
ROW |= {"base": "net", "transfer": "fixed"}
DATASETS = """dataset	task	classes	size	reader	source	train	test	version	licence	map_classes	ignore
scenes	classification	10	64	scenes		train	test	1
lanes	classification, segmentation	10	64	streets		train	test	1		11	255
photos	segmentation	5	0	pascal	raw	train	test	1
"""
PLAIN = {
    "epochs": 1,
    "batch_size": 8,
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.1},
    "schedule": {"name": "cosine"},
    "input": {"size": 64, "mean": [0.5] * 3, "std": [0.25] * 3},
}
DENSE = PLAIN | {"task": "segmentation"}
CROPPED = {"input": DENSE["input"] | {"scale": [200, 100]}, "augment": {"resize_range": [0.5, 2.0]}}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(row=None, recipe=None, base=None):
        (tmp_path / "recipes").mkdir(exist_ok=True)
        for name, content in (("plain", PLAIN), ("dense", DENSE | (recipe or {}))):
            (tmp_path / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(content))
        rows = [BASE | (base or {}), ROW | (row or {})]
        lines = ["\t".join(one.get(column, "") for column in HEAD.split()) for one in rows]
        (tmp_path / "models.tsv").write_text(HEAD + "\n".join(lines) + "\n")
        (tmp_path / "datasets.tsv").write_text(DATASETS)
        return Plan({"models": "models.tsv", "datasets": "datasets.tsv", "recipes": "recipes", "figures": {}})

    return make


def refused(plan, message, **changes):
    with pytest.raises(ValueError, match=message):
        plan(**changes)


def test_models_are_trained_by_the_rule_of_their_task(plan):
    found = plan()
    assert (found.trained, found.transferred) == (["net"], ["map"])
    assert found.listed == ["net"] and found.task_of("map") == "segmentation"


def test_its_job_is_told_about_row_and_data_set(plan):
    told = plan().transferred_row({"model": "map"})
    assert told == {
        **{"model": "map", "dataset": "lanes", "arch": "resnet18", "classes": 10, "threat": "none", "eps": 0.0},
        **{"seed": 0, "recipe": "dense", "base": "net", "transfer": "fixed", "ignore": 255, "map_classes": 11},
    }
    assert plan({"transfer": "", "base": ""}).transferred_row({"model": "map"})["transfer"] == "full"
    assert plan().train_targets({"model": "map"}) == ["results/prep/lanes/train.targets.lmdb"]
    assert plan().test_targets({"model": "map"}) == ["results/prep/lanes/test.targets.lmdb"]


def test_a_data_set_without_the_targets_of_the_task_is_named(plan):
    told = r"row 'map', recipe 'dense': trains for {}, but data set '{}' has targets of {} alone: change `task`"
    both = "classification, segmentation"
    refused(plan, told.format("detection", "lanes", both), recipe={"task": "detection"})
    refused(plan, told.format("segmentation", "scenes", "classification"), row={"dataset": "scenes"})


def test_a_base_of_another_architecture_is_named(plan):
    told = r"row 'map': the base 'net' is of architecture 'resnet34', the model of 'resnet18'"
    refused(plan, told, base={"arch": "resnet34"})


def test_a_transfer_without_a_base_is_named(plan):
    refused(plan, r"row 'map': column transfer is 'fixed', but column base is empty", row={"base": ""})


def test_images_of_another_size_than_training_takes_are_named(plan):
    small = {"input": DENSE["input"] | {"size": 32}}
    refused(plan, r"images of 'lanes' have 64 pixels a side, training takes 32x32: set augment.resize", recipe=small)
    refused(plan, r"images of 'photos' have different sizes, training takes 64x64", row={"dataset": "photos"})
    unscaled = {"augment": CROPPED["augment"]}
    refused(plan, r"augment.resize_range is relative to input.scale, which is not set", recipe=unscaled)
    assert plan({"dataset": "photos"}, CROPPED).transferred == ["map"]


def test_epochs_and_iterations_exclude_each_other(plan):
    told = r"dense.yaml: iterations takes the place of epochs: leave one of the two out"
    refused(plan, told, recipe={"iterations": 5})


def test_a_rate_that_changes_with_every_update_cannot_stay_for_an_epoch(plan):
    told = r"dense.yaml: schedule.by is 'epoch', but poly changes with every update: leave it out"
    refused(plan, told, recipe={"schedule": {"name": "poly", "by": "epoch"}})


@pytest.mark.parametrize(
    ("key", "recipe"),
    [("label_smoothing", {"label_smoothing": 0.1}), ("input.resize", {"input": DENSE["input"] | {"resize": 70}})],
)
def test_options_of_classification_are_refused(plan, key, recipe):
    refused(plan, rf"dense.yaml: {key} does nothing where task is \"segmentation\"", recipe=recipe)


def test_windows_leave_no_part_of_an_image_out(plan):
    slides = {"inference": "slide", "crop": [64, 48]}
    plan(recipe={"upernet": slides | {"stride": 48}})
    told = r"upernet.stride is {}, more than upernet.crop \[64, 48\], and windows would leave parts of an image out"
    refused(plan, told.format("49"), recipe={"upernet": slides | {"stride": 49}})
    refused(plan, told.format(r"\[65, 48\]"), recipe={"upernet": slides | {"stride": [65, 48]}})
    refused(plan, r"upernet.crop does nothing where upernet.inference is", recipe={"upernet": {"crop": 700}})


def test_prime_without_primitives_that_move_pixels(plan):
    assert set(trained.MOVING) == set(PRIMITIVES) - set(MASK_SAFE)
    prime = plan({"transfer": "full_prime"}).recipe({"model": "map"})["augment"]["prime"]
    assert prime["primitives"] == list(MASK_SAFE)
    told = r"augment.prime moves pixels by its primitive '{}', but the targets of segmentation stay"
    moving = {"primitives": ["color", "diffeomorphism"]}
    refused(plan, told.format("diffeomorphism"), recipe={"augment": {"prime": moving}})
    off = {"primitives": ["filter"], "filter": {"off_centre": True}}
    refused(plan, told.format("filter"), recipe={"augment": {"prime": off}})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/train/map/checkpoints", "'map' is trained for segmentation, where no weights but the last are kept"),
        ("results/train/map/weights.safetensors", None),
        ("results/train/map/epochs.parquet", None),
        ("results/train/net/checkpoints", None),
    ],
)
def test_targets_of_its_training(plan, path, message):
    assert targets.unknown(plan(), path) == message


def test_attacks_and_representations_are_of_classifiers(plan):
    found, told = plan(), r"row 'map': is a model of segmentation, but this is for models of classification"
    with pytest.raises(ValueError, match=told):
        found.known_classifier("map")
    with pytest.raises(ValueError, match=told):
        found.image_set({"images": "natural", "dataset": "lanes", "model": "map"})
    found.known_classifier("net")


def test_its_load_grows_with_the_updates(plan):
    short, long = (Work(plan(recipe={"epochs": epochs})).transfer({"model": "map"}) for epochs in (1, 500))
    assert long.gflop == pytest.approx(500 * short.gflop) and long.mb == short.mb


@pytest.mark.parametrize("name", ["streets_upernet", "ade20k_upernet_r50", "ade20k_upernet_swin_t"])
def test_the_recipes_of_the_project_can_be_trained_by(name):
    from imports import ROOT

    found = recipes.Recipes(ROOT / "config" / "recipes").get(name)
    assert found["task"] == "segmentation"
    assert schema.check(found, "recipe", name) == found
