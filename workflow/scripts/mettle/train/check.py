"""What is wrong with a training is said in the name of its recipe."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def of_recipe(name: str) -> Iterator[None]:
    """Whatever is wrong inside the block names the recipe."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"recipe '{name}': {error}") from error
