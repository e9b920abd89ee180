"""The recipes of Debenedetti et al. 2023 against the values of their repository's configurations, commit 2f5a214."""

import itertools

import pytest

import shipped
from imports import ROOT
from mettle import schema
from mettle.plan import Plan
from mettle.plan.recipes import Recipes

RECIPES = ROOT / "config" / "recipes"
KEYS = [
    "loss",
    "eps",
    "steps",
    "shape",
    "period",
    "optimizer",
    "lr",
    "schedule",
    "epochs",
    "cooldown",
    "warmup",
    "warmup_lr",
    "min_lr",
    "decay",
    "drop_path",
    "smoothing",
    "batch",
    "jitter",
    "auto",
    "mixup",
    "cutmix",
    "erasing",
    "size",
]
RA = "rand-m9-mstd0.5-inc1"
HEAVY = f"{RA} .8 1 .25"
# Batches are those of eight processes. Where the original leaves a key to another value's default, that is written out.
TABLE = {
    "light": "adversarial 4 1 linear 10 adamw 5e-4 cosine 100 10 10 1e-6 1e-5 .5 .05 .1 512 .4 - 0 0 0 224",
    "light_resnet": "adversarial 4 1 linear 10 sgd 3.2 step 100 0 0 - - 1e-4 0 .1 8192 0 - 0 0 0 224",
    "nano": "adversarial 4 1 linear 20 adamw 5e-4 cosine 100 10 10 1e-6 1e-5 .05 0 .1 1024 .4 - 0 0 0 224",
    "light_cifar10": "trades 8 10 constant - adamw 2.83e-4 cosine 20 2 5 1e-6 5e-6 .5 .05 0 1024 .25 - 0 0 0 32",
    "light_caltech101": "adversarial 8 1 constant - adamw 5e-5 cosine 20 10 5 1e-6 5e-6 .5 .05 .1 512 .4 - 0 0 0 224",
    "light_cifar10_erasing": "trades 8 10 constant - adamw 2e-4 cosine 100 2 5 1e-6 5e-6 .5 .05 0 512 0 - 0 0 .2 32",
    "light_cifar10_erasing20": "trades 8 10 constant - adamw 5e-5 cosine 20 2 5 1e-6 5e-6 .5 .05 0 512 0 - 0 0 .2 32",
    "light_cifar10_ddpm": "trades 8 10 constant - adamw 2.83e-4 cosine 20 2 5 1e-6 5e-6 .5 .05 0 1024 .25 - 0 0 0 32",
    "nano_finetuning": f"adversarial 8 1 constant - sgd 5e-3 cosine 100 10 10 1e-6 1e-5 .05 0 .1 1024 .4 {HEAVY} 224",
    "clean_cifar10": "standard - - - - adamw 5e-5 cosine 30 10 5 1e-6 5e-6 .5 .05 .1 512 .4 - 0 0 0 224",
    "clean_caltech101": f"standard - - - - adamw 5e-5 cosine 20 10 5 1e-6 5e-6 .05 .05 .1 512 .4 {HEAVY} 224",
    "nano_clean": "standard - - - - adamw 5e-4 cosine 100 10 10 1e-6 1e-5 .05 0 .1 1024 .4 - .8 0 0 224",
    "canonical_clean": f"standard - - - - adamw 5e-4 cosine 100 10 5 1e-6 1e-5 .05 .05 .1 512 .4 {HEAVY} 224",
}
SWEEPS = {
    "data_augmentation_adv": 16,
    "data_augmentation_benign": 16,
    "eps_warmup": 5,
    "eps_warmup_resnet": 5,
    "weight_decay_adv": 7,
    "weight_decay_benign": 7,
    "attack_steps": 3,
    "adv_fine_tuning": 24,
    "tiny_imagenet_wd": 4,
}


def values(recipe):
    """A recipe in the columns of the table."""
    attack, augment = recipe.get("attack"), recipe["augment"]
    optimizer, schedule = recipe["optimizer"], recipe["schedule"]
    power = {"none": 0, "linear": 1, "sqrt": 0.5}[optimizer["scaling"]]
    found = {"loss": recipe["loss"], "epochs": recipe["epochs"], "batch": recipe["batch_size"]}
    found |= {"drop_path": recipe["drop_path"], "smoothing": recipe["label_smoothing"], "size": recipe["input"]["size"]}
    if attack:
        found |= {"eps": attack["eps"] * 255, "steps": attack["steps"]}
        found |= {"shape": attack["schedule"]["shape"], "period": attack["schedule"]["period"]}
    found |= {"optimizer": optimizer["name"], "decay": optimizer["weight_decay"]}
    found |= {"lr": optimizer["lr"] * (recipe["batch_size"] / optimizer["base_batch"]) ** power}
    found |= {"schedule": schedule["name"], "cooldown": schedule["cooldown_epochs"], "min_lr": schedule["min_lr"]}
    found |= {"warmup": schedule["warmup_epochs"], "warmup_lr": schedule["warmup_lr"]}
    found |= {key: augment[key] for key in ("mixup", "cutmix", "erasing")}
    return found | {"jitter": augment["color_jitter"], "auto": augment["auto_augment"]}


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_has_the_published_values(name):
    found, wanted = values(Recipes(RECIPES).get(name)), TABLE[name].split()
    for key, text in zip(KEYS, wanted, strict=True):
        if text == "-":
            assert key not in found or not found[key] or key in ("period", "warmup_lr", "min_lr"), key
        elif isinstance(found[key], str):
            assert found[key] == text, key
        else:
            assert found[key] == pytest.approx(float(text), rel=2e-3), key


def test_the_recipes_of_the_variants():
    get = Recipes(RECIPES).get
    assert (get("light_steps2")["attack"]["steps"], get("light_eps8")["attack"]["steps"]) == (2, 2)
    assert get("light_cifar10")["beta"] == 6
    for name in TABLE:
        kept = get(name)["validation"]
        assert kept["select"] == "best" and (kept["every"] == 1) == (get(name)["loss"] != "standard")
    canonical, light = get("canonical"), get("light")
    assert canonical["augment"]["auto_augment"] == RA and canonical["attack"]["schedule"]["shape"] == "constant"
    assert (canonical["optimizer"]["weight_decay"], light["optimizer"]["weight_decay"]) == (0.05, 0.5)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_has_the_published_grid(sweep):
    grid = schema.read_yaml(RECIPES / "sweeps" / f"{sweep}.yaml")["grid"]
    assert len(list(itertools.product(*grid.values()))) == SWEEPS[sweep] == len(Recipes(RECIPES, [sweep]).rows)


@pytest.fixture
def plan(monkeypatch):
    """The plan at paper scale."""
    monkeypatch.chdir(ROOT)
    return shipped.plan("paper")


TRAINED = schema.read_sheet(ROOT / "config" / "models" / "light_recipe_trained.tsv", "models")
TRAINED = {name: row for name, row in TRAINED.items() if row.get("base")}


def test_what_the_recipe_trains_from_published_checkpoints(plan):
    sizes = ("small", "medium", "large")
    for recipe, patch, dataset in (
        ("light_flowers", "p16_224", "flowers102"),
        ("light_caltech101", "p16_224", "caltech101"),
        ("light_cifar10", "p4_32", "cifar10"),
        ("light_cifar100", "p4_32", "cifar100"),
        ("light_cifar10_ddpm", "p4_32", "cifar10"),
    ):
        rows = [plan.models[f"xcit_{size}_12_{patch}-{recipe}-s1"] for size in sizes]
        assert {row["dataset"] for row in rows} == {dataset}
        assert [row["base"] for row in rows] == [f"xcit_{size}_12_p16_224-light_eps8-s0" for size in sizes]
    assert len(TRAINED) == 16 and "xcit_small_12_p4_32-light_cifar10_erasing20-s1" in TRAINED
    for name in TRAINED:
        (base,) = plan.base_weights({"model": name})
        assert plan.models[base.split("/")[2]]["source"] != "train"
        assert plan.train_store({"model": name}) and plan.test_store({"model": name})
        mixed = ["results/prep/cifar10_ddpm/train.lmdb", "results/prep/cifar10_ddpm/train.parquet"]
        assert plan.mixed_store({"model": name}) == (mixed if "ddpm" in name else [])


def test_the_run_behind_the_published_xcit_s12_of_cifar10(plan):
    published = plan.models["xcit_small_12_p4_32-light_cifar10_erasing20-s0"]
    assert "xcit-s-cifar10" in published["source"] and published["recipe"] == "light_cifar10_erasing20"
    augment = plan.recipes.get("light_cifar10_erasing20")["augment"]
    kept = {"random_resized_crop": True, "scale": [0.8, 1.2], "ratio": [0.95, 1.05], "crop_padding": 0, "rotation": 0}
    assert {key: augment[key] for key in kept} == kept


def test_rows_that_need_the_sheets_of_the_paper_are_not_in_those_of_the_demo(plan):
    demo = shipped.plan()
    assert not TRAINED.keys() & demo.models.keys() and TRAINED.keys() <= plan.models.keys()
    with pytest.raises(ValueError, match=r"column base: unknown model 'xcit_small_12_p16_224-light_eps8-s0'"):
        Plan({"models": "config/models/light_recipe_trained.tsv", "figures": {}})


def test_paper_scale_takes_over_nothing_of_the_demo(plan):
    for cell in plan.cells("published") + plan.cells("fig9") + plan.cells("fig10"):
        attack = plan.attacks[cell.split("/")[-1].removesuffix(".parquet")]
        assert attack["images"] is None and attack["steps"] == 100, attack
    assert plan.attack_grid("autoattack_linf") == [f"autoattack_linf_eps{eps}_255" for eps in range(2, 17, 2)]
    assert plan.attacks["apgd_linf"]["restarts"] == 5 and plan.attacks["autoattack_linf_eps4_255"]["queries"] == 5000
    assert plan.config["attack"]["effectiveness"]["steps"] == [1, 2, 5, 10, 200]
    assert len(plan.cells("published")) == 22


def test_figure_11_has_the_attacks_of_the_study_and_networks_with_and_without_adversarial_training(plan):
    steps = {"fgsm_linf": 1, "pgd10_linf": 10, "pgd100_linf": 100}
    for name, count in steps.items():
        attack = plan.attacks[name]
        assert (attack["method"], attack["norm"], attack["steps"]) == ("pgd", "linf", count)
        assert attack["eps"] == pytest.approx(4 / 255) and attack["step_size"] == pytest.approx(1.5 * 4 / 255 / count)
        assert attack["random_start"] and not attack["early_stop"] and attack["images"] is None
    options = plan.config["figures"]["fig11"]
    assert options["attack"] == "pgd100_linf" and plan.config["attack"]["perturbations"]["images"] == 5000
    rows = [plan.models[name] for name in options["models"]]
    kinds = [(row["arch"].partition("_")[0], row["threat"]) for row in rows]
    assert sorted(kinds) == [("resnet50", "linf"), ("resnet50", "none"), ("xcit", "linf"), ("xcit", "none")]
    assert len(plan.cells("fig11")) == len(plan.beside("fig11")) == 4
    judges = plan.config["attack"]["perturbations"]["judges"]
    assert len(plan.judges({"dataset": options["dataset"], "model": options["models"][0]})) == len(judges) == 4
    assert not {plan.models[name]["arch"] for name in judges} & {row["arch"] for row in rows}


TIMM = list(schema.read_sheet(ROOT / "config" / "models" / "timm.tsv", "models").values())


@pytest.mark.parametrize("row", TIMM, ids=[row["model"] for row in TIMM])
def test_images_reach_a_network_of_timm_as_its_card_says(row):
    import timm

    owner, name, file = row["source"].removeprefix("hf://").split("/")
    card = timm.get_pretrained_cfg(name)
    assert (owner, file) == (card.hf_hub_id.partition("/")[0], "model.safetensors") and name.startswith(
        f"{row['arch']}."
    )
    found = Recipes(RECIPES).get(row["recipe"], trains=False)["input"]
    assert card.input_size == (3, found["size"], found["size"]) and card.num_classes == 1000
    assert found["resize"] == int(found["size"] / card.crop_pct) and found["interpolation"] == card.interpolation
    assert found["mean"] == list(card.mean) and found["std"] == list(card.std)


def test_networks_that_are_apart_are_in_no_figure_or_table_that_does_not_name_them(plan):
    apart = {row["model"] for row in TIMM}
    assert apart < set(plan.models) and all(row["apart"] == "yes" for row in TIMM)
    named = "\n".join([path for name in plan.config["figures"] if name != "fig11" for path in plan.cells(name)])
    assert not [model for model in apart if model in named]
    assert not apart & set(plan.sets["group"].models)
