"""Rows of heads on frozen networks: what their recipe and their base have to be."""

from typing import Any

from mettle.plan.idle import Layers
from mettle.typed import HeadRecipe, ModelRow, Recipe

_LINEAR = ("segmentation", "depth")  # tasks of heads on patch tokens


def check_recipe(recipe: HeadRecipe, layers: Layers) -> None:
    """Raise ValueError for several heads of which none can be chosen, or for options that do nothing."""
    where = layers[-1][0]
    heads = len(recipe["blocks"]) * len(recipe["average"]) * len(recipe["lr"])
    if recipe["method"] == "knn" and (heads > 1 or recipe["holdout"]):
        raise ValueError(
            f"{where}: nearest neighbours are one head, and nothing is chosen: state one value of blocks and of "
            "average, and neither lr nor holdout"
        )
    if heads > 1 and not recipe["holdout"]:
        raise ValueError(
            f"{where}: blocks, average and lr make {heads} heads: set holdout to the number of training images on "
            "which the best is chosen"
        )


def check_linear(recipe: Recipe, written: dict[str, Any], where: str) -> None:
    """Raise ValueError for a block `linear` that the task has no use for, or one that is missing.

    Parameters
    ----------
    recipe : with defaults filled in
    written : its keys as they are written
    where : for the message
    """
    has = "linear" in recipe
    if has and (beside := [block for block in ("upernet", "backbone") if block in written]):
        raise ValueError(f"{where}: {beside[0]} does nothing beside linear: take one of the two out")
    if recipe["task"] == "depth" and not has:
        raise ValueError(
            f"{where}: task is depth, whose head is the block `linear`: add it, `linear: {{}}` for defaults"
        )
    if recipe.get("kind") == "head" and not has:
        raise ValueError(
            f"{where}: kind is head, but there is no block `linear`: add it, or leave task out for a head of "
            "classification"
        )
    if has and recipe["task"] not in _LINEAR:
        raise ValueError(f"{where}: linear is for segmentation and depth, but task is {recipe['task']}: take it out")
    if has and recipe["linear"]["range"][0] >= recipe["linear"]["range"][1]:
        raise ValueError(f"{where}: linear.range is {recipe['linear']['range']}: it must ascend")


def check_row(row: ModelRow, base: ModelRow | None, where: str) -> None:
    """Raise ValueError for a row of a head without a base, or with one that it is not for.

    Parameters
    ----------
    row : of the head
    base : row that it names, None for none
    where : sheet and row
    """
    if base is None:
        raise ValueError(f"{where}: column base is empty: name the row whose network the head is for")
    if row["arch"] != base["arch"]:
        raise ValueError(
            f"{where}: the base '{base['model']}' has architecture '{base['arch']}', the row '{row['arch']}': a head "
            "is for the network of its base, so write the same"
        )
    if "transfer" in row:
        raise ValueError(
            f"{where}: column transfer is '{row['transfer']}', but a head leaves its base as it is: empty it"
        )
