"""Recipes that train networks: which keys need each other, and which data sets they fit."""

from typing import Any

from mettle import schema
from mettle.plan.idle import Layers, check_idle
from mettle.typed import DatasetRow, EpsSchedule, Input, Recipe
from mettle.units import sides, size_text

Row = dict[str, Any]


def check_covers(shape: Input, where: str, block: str = "") -> None:
    """Raise ValueError for an input that a resized image does not cover: torchvision would add a black border."""
    size, resize = shape["size"], shape["resize"]
    least = min(sides(size)) if isinstance(resize, int) else size
    if resize is not None and any(side < least for side, least in zip(sides(resize), sides(least), strict=True)):
        raise ValueError(
            f"{where}: {block}resize is {resize}, less than {block}size {size}: images would get a black border; "
            f"set it to {least} or more"
        )


def check_fits(recipe: Recipe, dataset: DatasetRow, where: str) -> None:
    """Raise ValueError for images taken as they are that do not have the input's size, or resized to less than it."""
    size, resize, stored = recipe["input"]["size"], recipe["input"]["resize"], dataset["size"]
    images = f"{where}: images of '{dataset['dataset']}'"
    if stored and sides(stored) != sides(size) and resize is None:
        raise ValueError(
            f"{images} have {stored} pixels a side, but the network takes {size}: set `resize`, of the recipe's block "
            "`input` or of the row"
        )
    if stored and isinstance(resize, int) and resize < max(sides(size)):  # they are square, resized too
        raise ValueError(
            f"{images} are square, and with `resize` {resize} do not cover the input of {size_text(size)}: set it to "
            f"{max(sides(size))} or more, or to height and width, which changes their aspect"
        )


def check_epochs(recipe: Recipe) -> None:
    """Raise ValueError if a recipe names epochs that it does not have, or selects by what it never measures."""
    if "iterations" in recipe:
        return
    epochs = recipe["epochs"] + recipe["schedule"]["cooldown_epochs"]
    drops = recipe["schedule"]["milestones"] if recipe["schedule"]["name"] == "multistep" else []
    for key, wanted in (("checkpoints", recipe["checkpoints"]), ("schedule.milestones", drops)):
        if late := [epoch for epoch in wanted if epoch >= epochs]:
            raise ValueError(f"{key}: epochs {late} are never reached, the last of {epochs} is {epochs - 1}")
    validation, augment = recipe["validation"], recipe["augment"]
    every = validation["every"]
    if "attack" in recipe and validation["select"] == "best" and not 0 < every <= epochs:
        raise ValueError(f"validation.select is 'best', but validation.every {every} measures none of {epochs} epochs")
    if "attack" in recipe and every > epochs:
        raise ValueError(f"validation.every {every} measures none of {epochs} epochs: set it to 0 for none")
    if "attack" in recipe and epochs <= _zero_epochs(recipe["attack"]["schedule"]):
        raise ValueError(f"attack.schedule.zero_epochs leaves none of {epochs} epochs under attack: lower it")
    if (augment["mixup"] or augment["cutmix"]) and epochs <= augment["epochs_without_mixup"]:
        raise ValueError(f"augment.epochs_without_mixup leaves none of {epochs} epochs to mixup or cutmix: lower it")


def _zero_epochs(schedule: EpsSchedule) -> float:
    return 0 if schedule["shape"] == "constant" else schedule["zero_epochs"]


# Primitives of PRIME after which label maps, boxes and masks no longer fit; a test compares them with `augment`.
MOVING = ("diffeomorphism",)
# Keys that training needs and a converted checkpoint does not.
_TRAINING = ("batch_size", "optimizer", "schedule")
_NEEDS = {
    "adversarial": (True, "an `attack` block"),
    "trades": (True, "an `attack` block"),
    "standard": (False, "no `attack` block"),
    "bce": (False, "no `attack` block"),
    "jsd": (False, "no `attack` block"),
}


def check_training(recipe: Recipe, layers: Layers) -> None:
    """Raise ValueError for a recipe that cannot be trained by, or that has options without effect."""
    where = layers[-1][0]
    lacking = [] if "iterations" in recipe else [key for key in ("epochs",) if key not in recipe]
    lacking += [key for key in _TRAINING if key not in recipe]
    lacking += ["attack.steps"] if "attack" in recipe and "steps" not in recipe["attack"] else []
    if lacking:
        raise ValueError(f"{where}: key '{lacking[0]}' is missing; without it a recipe is for checkpoints only")
    check_idle(layers)
    loss, attack = recipe["loss"], recipe.get("attack")
    if loss in _NEEDS and _NEEDS[loss][0] != (attack is not None):
        raise ValueError(f"{where}: loss '{loss}' needs {_NEEDS[loss][1]}")
    if loss == "trades" and attack["target"] != "none":
        raise ValueError(
            f"{where}: attack.target is '{attack['target']}', but the attack of 'trades' maximises the divergence from "
            "the clean prediction and knows no classes: set it to 'none'"
        )
    if "iterations" in recipe and "epochs" in recipe:
        raise ValueError(f"{where}: iterations takes the place of epochs: leave one of the two out")
    schedule = recipe["schedule"]
    if schedule["name"] in ("poly", "one_cycle") and schedule["by"] == "epoch":
        raise ValueError(
            f"{where}: schedule.by is 'epoch', but {schedule['name']} changes with every update: leave it out"
        )
    _check_prime(recipe, where)
    try:
        check_epochs(recipe)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _check_prime(recipe: Recipe, where: str) -> None:
    """Raise ValueError for an `augment.prime` that cannot be, or unless one thing makes the views of jsd."""
    augment = recipe["augment"]
    if prime := augment.get("prime"):
        least, most = (prime["diffeomorphism"][key] for key in ("cut_min", "cut_max"))
        if least >= most:
            raise ValueError(
                f"{where}: augment.prime.diffeomorphism.cut_min is {least}, but must be less than cut_max, {most}"
            )
        moving = [name for name in prime["primitives"] if name in MOVING] + ["filter"] * prime["filter"]["off_centre"]
        if moving and recipe["task"] != "classification":
            raise ValueError(
                f"{where}: augment.prime moves pixels by its primitive '{moving[0]}', but the targets of "
                f"{recipe['task']} stay where they are: take it out of primitives, or set filter.off_centre to false"
            )
    if recipe["loss"] == "jsd" and ("prime" in augment) == (augment["auto_augment"] is not None):
        raise ValueError(
            f"{where}: loss 'jsd' compares an image with two augmented views of it: let either augment.prime or "
            "augment.auto_augment make them"
        )


def with_prime(recipe: Recipe, where: str) -> Recipe:
    """A recipe with `augment.prime`, its defaults unless it states it; for dense tasks those that move no pixel."""
    added = schema.filled({"augment": {"prime": {}}}, "recipe")["augment"]["prime"]
    if recipe["task"] != "classification":
        added["primitives"] = [name for name in added["primitives"] if name not in MOVING]
    found = recipe | {"augment": {"prime": added} | recipe["augment"]}
    _check_prime(found, f"{where}, transfer 'full_prime'")
    return found
