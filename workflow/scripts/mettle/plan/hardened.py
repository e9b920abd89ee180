"""Rows of robustness tokens: what their recipe and their base have to be."""

from collections.abc import Collection
from typing import Any

from mettle import schema
from mettle.plan.idle import Layers
from mettle.typed import ModelRow, TokensRecipe

BASE, SELF = "base", "self"  # models that an attack can go through, besides those named
NORMALISED = "linf_normalised"  # norm of attacks on features alone, see mettle.perturb.features


def check_through(through: str, models: Collection[str], where: str) -> None:
    """Raise ValueError for an attack through a model that is unknown."""
    if through not in (known := {BASE, SELF, *models}):
        raise ValueError(f"{where}.through: unknown model '{through}'{schema.suggest(through, known)}")


def check_recipe(recipe: TokensRecipe, layers: Layers) -> None:
    """Raise ValueError for an attack through another model than training has, or a warm-up beyond its end."""
    where, optimizer = layers[-1][0], recipe["optimizer"]
    if (through := recipe["attack"]["through"]) not in (BASE, SELF):
        raise ValueError(f"{where}: attack.through is '{through}', but training knows {BASE} and {SELF} only")
    check_attack(recipe["attack"], f"{where}: attack.")
    if recipe["share_attack"] and through == SELF:
        raise ValueError(
            f"{where}: share_attack is true, but an attack through the tokens themselves is another one for each "
            "training: set it false, or attack.through base"
        )
    if recipe["steps"] and optimizer["warmup_steps"] >= recipe["steps"]:
        raise ValueError(
            f"{where}: optimizer.warmup_steps is {optimizer['warmup_steps']}, but training ends after "
            f"{recipe['steps']} steps: lower it"
        )


def check_attack(attack: dict[str, Any], where: str) -> None:
    """Raise ValueError for rounding in a ball that is none of Linf."""
    if attack["rounding"] and attack["norm"] == "l2":
        raise ValueError(f"{where}rounding keeps images in a ball of Linf, but norm is {attack['norm']}: set it false")


def check_row(row: ModelRow, base: ModelRow | None, stacked: bool, where: str) -> None:
    """Raise ValueError for a row of tokens without a base that they fit.

    Parameters
    ----------
    row : of the tokens
    base : row that it names, None for none
    stacked : whether the base has tokens itself
    where : sheet and row
    """
    if base is None:
        raise ValueError(f"{where}: column base is empty: name the row whose network the tokens are for")
    for key, word in (("arch", "architecture"), ("dataset", "data set")):
        if row[key] != base[key]:
            raise ValueError(
                f"{where}: the base '{base['model']}' has {word} '{base[key]}', the row '{row[key]}': tokens are for "
                "the network of their base, so write the same"
            )
    if stacked:
        raise ValueError(f"{where}: the base '{base['model']}' has tokens itself: name the row that it stands on")
    if "transfer" in row:
        raise ValueError(
            f"{where}: column transfer is '{row['transfer']}', but tokens leave their base as it is: empty it"
        )
