"""Checks before training starts, of what a recipe asks of its model."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mettle.distributed import portion
from mettle.models import Classifier
from mettle.typed import Recipe


def check_statistics(model: Classifier, batch: np.ndarray, recipe: Recipe, processes: int) -> None:
    """Raise ValueError if BatchNorm would see a single value per channel.

    Parameters
    ----------
    model : the model; stays as it is
    batch : images of the smallest batch of a training
    recipe : the recipe
    processes : that share the batch
    """
    together = processes > 1 and recipe["batch_norm"] == "sync"
    parts = [portion(batch, k, recipe["accumulate"]) for k in range(recipe["accumulate"])]
    if not together:
        parts = [portion(part, rank, processes) for part in parts for rank in range(processes)]
    if min(map(len, parts)) > 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(model).train()(model.mean.new_zeros(1, 3, *model.size))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            f"batch_size {recipe['batch_size']}, accumulate {recipe['accumulate']} and {processes} processes leave one "
            "image to a pass, in which BatchNorm has one value per channel and no variance: change batch_size or "
            "accumulate, or the configuration's train.devices"
        ) from error


@contextmanager
def of_recipe(name: str) -> Iterator[None]:
    """Context in which messages of errors name the recipe."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"recipe '{name}': {error}") from error
