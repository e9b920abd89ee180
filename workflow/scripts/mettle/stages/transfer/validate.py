"""The score of a model of a dense task on held-out images, from its answers image by image."""

import math
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from torch import nn

from mettle import models
from mettle.data.item import decode_array
from mettle.data.loading import split
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.distributed import ProcessGroup
from mettle.models import Policy
from mettle.perturb.watch import Watch
from mettle.tasks.task import Task


@torch.no_grad()
def score(
    model: nn.Module, task: Task, store: Store, batch: int, policy: Policy, watch: Watch, group: ProcessGroup
) -> float | None:
    """The task's score of a model on all images of a store, at their own size; None where it is undefined.

    Parameters
    ----------
    model : the model
    task : its task
    store : images, with targets beside them
    batch : images per pass
    policy : device and precision
    watch : counts the batches of the first process
    group : processes that share the work
    """
    found = []
    mine, _ = group.turns(list(alike(TargetStore(store.path).sizes, batch)))
    shown = watch.progress(mine, "validation", len(mine)) if group.first else mine
    with models.frozen(model), policy.autocast():
        for positions in shown:
            images = np.stack([decode_array(store.data(int(index))) for index in positions])
            outputs = model(policy.move(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255))
            targets = task.targets(store, positions)
            targets = targets.to(policy.device) if isinstance(targets, torch.Tensor) else targets
            task.check(outputs, targets, store.ids[positions].tolist())
            found.append({"id": store.ids[positions]} | task.answers(outputs, targets))
    value = task.score.value(_frame(group.collect(found)))
    return None if math.isnan(value) else value


def alike(sizes: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """All positions in batches of images of one size, in the order of the store as far as that allows."""
    order = np.lexsort((np.arange(len(sizes)), *sizes.T))
    for _, same in groupby(order, lambda index: tuple(sizes[index])):
        yield from split(np.array(list(same)), batch)


def _frame(parts: list[dict[str, object]]) -> pd.DataFrame:
    """One row per image, lists where there are several numbers per image."""
    columns = {key: [part[key] for part in parts] for key in parts[0]}
    listed = {key: [one for many in values for one in _rows(many)] for key, values in columns.items()}
    return pd.DataFrame(listed)


def _rows(values: object) -> list:
    return list(values.cpu().numpy()) if isinstance(values, torch.Tensor) else list(values)
