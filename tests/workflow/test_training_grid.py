"""The training grid of Klabunde et al. 2025: its models, its pairs, its classes, and its recipes cell by cell."""

import random
from collections import Counter
from functools import cache

import pytest

from imports import ROOT
from mettle import schema
from mettle.data.lists import read_list
from mettle.plan import Plan
from mettle.plan.recipes import Recipes

RECIPES = Recipes(ROOT / "config" / "recipes")
LISTS = ROOT / "resources" / "lists"
HUB = "hf://madrylab/robust-imagenet-models/"

FOUR = ["resnet50", "wide_resnet50_2", "densenet161", "vgg16_bn"]
SIX = ["resnet18", "resnet50", "wide_resnet50_2", "wide_resnet50_4", "tiny_vit_5m", "vgg16_bn"]
EIGHT = [*SIX, "densenet161", "resnext50_32x4d"]
SMALL = ["resnet18_32", "resnet50_32", "densenet161_32", "vgg16_32"]
SEVEN = [*SMALL, "wide_resnet50_2", "wide_resnet50_4", "resnext50_32x4d"]
GRID = {
    "imagenet": {0: EIGHT, 0.25: SIX, 0.5: SIX, 1: SIX, 3: EIGHT},
    "imagenet100_kaggle": dict.fromkeys([0, 0.25, 0.5, 1, 3], FOUR),
    "imagenet50": dict.fromkeys([0, 0.25, 0.5, 1, 3], FOUR),
    "cifar10": dict.fromkeys([0, 0.25, 0.5, 1], SEVEN),
}
# Ordered pairs of the paper's tables; ImageNet-50 is in none of its figures.
ORDERED = {"imagenet": 202, "imagenet100_kaggle": 60, "imagenet50": 60, "cifar10": 168}


@cache
def made():
    """The plan of the study's models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Plan({"models": "config/models/universality.tsv", "figures": {}})


@pytest.fixture
def plan():
    return made()


def rows(dataset):
    return {name: row for name, row in made().models.items() if row["dataset"] == dataset}


@pytest.mark.parametrize("dataset", GRID)
def test_every_cell_of_the_grid_has_its_models_once(dataset):
    found = {}
    for row in rows(dataset).values():
        found.setdefault(row["eps"], []).append(row["arch"])
        assert row["threat"] == ("l2" if row["eps"] else "none") and row["seed"] == 0
        family = "cifar10" if dataset == "cifar10" else "imagenet"
        assert row["recipe"] == f"{family}_{'l2_' if row['eps'] else ''}eps{row['eps']:g}".replace(".", "_")
    assert {eps: sorted(archs) for eps, archs in found.items()} == {
        eps: sorted(archs) for eps, archs in GRID[dataset].items()
    }


def test_the_grid_has_102_models():
    assert {dataset: len(rows(dataset)) for dataset in GRID} == {
        "imagenet": 34,
        "imagenet100_kaggle": 20,
        "imagenet50": 20,
        "cifar10": 28,
    }


@pytest.mark.parametrize("dataset", GRID)
def test_pairs_are_those_of_the_paper(plan, dataset):
    pairs = Counter()
    for name, row in rows(dataset).items():
        above = plan.above(name)
        assert set(above) <= set(rows(dataset)) and all(rows(dataset)[other]["eps"] == row["eps"] for other in above)
        pairs[row["eps"]] += len(above)
    assert pairs == {eps: len(archs) * (len(archs) - 1) // 2 for eps, archs in GRID[dataset].items()}
    assert 2 * pairs.total() == ORDERED[dataset]


def test_the_paper_has_645_pairs_of_models_and_images(plan):
    drawn = {dataset: sum(len(plan.above(name)) for name in rows(dataset)) for dataset in GRID}
    drawn.pop("imagenet50")
    assert drawn == {"imagenet": 101, "imagenet100_kaggle": 30, "cifar10": 84}
    # Each unordered pair on natural images, each ordered one on images inverted through its first model.
    assert sum(drawn.values()) + 2 * sum(drawn.values()) == 645


def test_checkpoints_are_those_of_the_hub_where_it_has_them():
    names = {"densenet161": "densenet"}
    published = {
        "resnet18": GRID["imagenet"],
        "resnet50": GRID["imagenet"],
        "wide_resnet50_2": GRID["imagenet"],
        "wide_resnet50_4": GRID["imagenet"],
        "densenet161": [0, 3],
        "resnext50_32x4d": [0, 3],
        "vgg16_bn": [0, 3],
    }
    for dataset in GRID:
        for row in rows(dataset).values():
            on_hub = dataset == "imagenet" and row["eps"] in published.get(row["arch"], [])
            file = f"{HUB}{names.get(row['arch'], row['arch'])}_l2_eps{row['eps']:g}.ckpt"
            assert row["source"] == (file if on_hub else "train") and row["format"] == ""


# Data set, eps; batch, weight decay, size, resize, step; augmentation: resized crop, padding, jitter, rotation,
# lighting; lr 0.1, momentum 0.9, 90 epochs, 3 steps, no random start, and the best iterate are the same everywhere.
CELLS = """
imagenet    0     256  1e-4  224  256  -        yes  0  0.1   0  0.05
imagenet    0.25  256  1e-4  224  256  0.16667  yes  0  0.1   0  0.05
imagenet    0.5   256  1e-4  224  256  0.33333  yes  0  0.1   0  0.05
imagenet    1     256  1e-4  224  256  0.66667  yes  0  0.1   0  0.05
imagenet    3     256  1e-4  224  256  2        yes  0  0.1   0  0.05
cifar10     0     512  5e-4  32   -    -        no   4  0.25  2  0
cifar10     0.25  512  5e-4  32   -    0.125    no   4  0.25  2  0
cifar10     0.5   512  5e-4  32   -    0.25     no   4  0.25  2  0
cifar10     1     512  5e-4  32   -    0.5      no   4  0.25  2  0
"""
STATISTICS = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "other": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def name_of(dataset, eps):
    return f"{dataset}_{'' if eps == '0' else 'l2_'}eps{eps}".replace(".", "_")


@pytest.mark.parametrize("cell", CELLS.strip().splitlines(), ids=lambda cell: "-".join(cell.split()[:2]))
def test_a_recipe_has_the_published_values(cell):
    dataset, eps, batch, decay, size, resize, step, crop, padding, jitter, rotation, lighting = cell.split()
    found = RECIPES.get(name_of(dataset, eps))
    optimizer, schedule, augment = found["optimizer"], found["schedule"], found["augment"]
    assert (found["epochs"], found["batch_size"], found["precision"]) == (90, int(batch), "fp32")
    assert (optimizer["name"], optimizer["lr"], optimizer["momentum"]) == ("sgd", 0.1, 0.9)
    assert (optimizer["weight_decay"], optimizer["decay_all"], optimizer["nesterov"]) == (float(decay), True, False)
    assert (optimizer["scaling"], found["label_smoothing"], found["drop_path"]) == ("none", 0, 0)
    assert (schedule["name"], schedule["by"], schedule["every"], schedule["factor"]) == ("step", "epoch", 30, 0.1)
    assert (schedule["warmup_epochs"], schedule["cooldown_epochs"]) == (0, 0)
    assert (found["input"]["size"], found["input"]["resize"]) == (int(size), None if resize == "-" else int(resize))
    assert (found["input"]["mean"], found["input"]["std"]) == STATISTICS.get(dataset, STATISTICS["other"])
    assert augment["random_resized_crop"] == (crop == "yes") and augment["crop_padding"] == int(padding)
    assert (augment["color_jitter"], augment["rotation"]) == (float(jitter), float(rotation))
    assert (augment["lighting"], augment["horizontal_flip"], augment["mixup"]) == (float(lighting), True, 0)
    assert found["validation"]["select"] == "last"
    if eps == "0":
        assert found["loss"] == "standard" and "attack" not in found
    else:
        attack = found["attack"]
        assert found["loss"] == "adversarial" and attack["schedule"]["shape"] == "constant"
        assert (attack["norm"], attack["eps"], attack["steps"]) == ("l2", float(eps), 3)
        assert attack["step_size"] == pytest.approx(float(step), rel=1e-4)
        assert (attack["random_start"], attack["best"], attack["precision"]) == (False, True, "fp32")


def test_every_recipe_of_the_grid_is_in_the_table():
    cells = {name_of(*cell.split()[:2]) for cell in CELLS.strip().splitlines()}
    assert cells == {row["recipe"] for dataset in GRID for row in rows(dataset).values()}


# Data sets


@pytest.mark.parametrize(("dataset", "classes"), [("imagenet100_kaggle", 100), ("imagenet50", 50)])
def test_subsets_are_sorted_classes_of_imagenet(dataset, classes):
    row = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")[dataset]
    listed = read_list(ROOT / row["subset"])
    assert len(listed) == classes == row["classes"] and listed == sorted(listed)
    assert set(listed) <= set(read_list(LISTS / "imagenet_synsets.txt"))
    assert (row["reader"], row["source"], row["train"], row["test"]) == ("folder", "resources/imagenet", "train", "val")


def test_the_fifty_classes_are_drawn_from_the_hundred_as_the_original_draws_them():
    hundred = read_list(LISTS / "imagenet100_kaggle_synsets.txt")
    # Known members of the Kaggle set, the first ten of its own list.
    ten = "n01968897 n01770081 n01818515 n02011460 n01496331 n01847000 n01687978 n01740131 n01537544 n01491361"
    assert set(ten.split()) < set(hundred)
    drawn = random.Random(34786567).sample(range(100), 50)
    assert read_list(LISTS / "imagenet50_synsets.txt") == [hundred[label] for label in sorted(drawn)]
