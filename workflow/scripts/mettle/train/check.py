"""What a recipe asks for that cannot be, found before training starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def check(recipe: dict[str, Any], epochs: int) -> None:
    """Raise ValueError if a recipe asks for what there is not.

    Parameters
    ----------
    recipe : the recipe
    epochs : all epochs of the training, those of the cooldown too
    """
    if late := [epoch for epoch in recipe["checkpoints"] if epoch >= epochs]:
        raise ValueError(f"checkpoints: epochs {late} are never reached, the last of {epochs} is {epochs - 1}")
    validation, attack = recipe["validation"], recipe.get("attack")
    if validation["select"] == "best" and attack and not 0 < validation["every"] <= epochs:
        raise ValueError(
            f"validation.select is 'best', but validation.every {validation['every']} measures none of {epochs} epochs"
        )


@contextmanager
def of_recipe(name: str) -> Iterator[None]:
    """Whatever is wrong inside the block names the recipe."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"recipe '{name}': {error}") from error
