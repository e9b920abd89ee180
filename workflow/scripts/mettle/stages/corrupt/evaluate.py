"""Answers of a model to held-out images under each of several corruptions: one row per image and condition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle import models
from mettle.data.conditions import Conditions
from mettle.data.corrupted import views
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.flow.parts import Parts
from mettle.plan.corrupted import CLEAN, conditions
from mettle.tables import CORRUPT, Table
from mettle.tasks.task import Task
from mettle.typed import Corruptions


def evaluate(
    evaluation: Evaluation,
    keys: dict[str, Any],
    options: Corruptions,
    resume: str | Path,
    stored: Sequence[str | Path] = (),
    published: tuple[str, str | Path] | None = None,
) -> tuple[Table, dict[str, Any]]:
    """The table of a cell and its columns.

    Parameters
    ----------
    evaluation : the model and the clean held-out images
    keys : dataset, split, model
    options : types and severities of the cell, and which images
    resume : folder for the answers to finished batches; a killed job resumes from them with the same result
    stored : stores of the corrupted images, one per condition; without them they are made here, with the same result
    published : reader and source of published images, which are taken instead

    Returns
    -------
    (Table, dict)
        One entry per image and condition: all images of the store, or `options["images"]` of them, in its order, under
        the first condition, then under the next.

    Raises
    ------
    ValueError
        If an image is too small to be corrupted, targets do not fit the model, or outputs are not finite.
    """
    asked, job = conditions(options), evaluation.job

    def taken(store: Store, about: dict[str, Any], task: Task) -> Conditions:
        positions = shared(len(store), options["images"], job.seed, evaluation.dataset)
        seen = views(store, options, job.seed, stored, published)
        cropped = bool(options["crop"] or (published and options["types"] != [CLEAN]))
        return Conditions(store, positions, seen, about, native=task.native, cropped=cropped)

    opened = evaluation.open(taken=taken)
    n = len(opened.source.positions)
    pieces = opened.split(np.arange(n))
    chosen = [start + piece for start in range(0, n * len(asked), n) for piece in pieces]
    parts = Parts(resume, [*evaluation.made_from, options], len(chosen))
    if parts.done:
        job.say(f"resuming: {len(parts.done)} of {len(chosen)} batches are done")
    opened.say(len(opened.source), f"{len(asked)} conditions: ")
    for number, batch in zip(parts.left, opened.batches([chosen[i] for i in parts.left], "corrupt"), strict=True):
        parts.save(number, answers(opened, batch))
    columns = parts.collect()
    order = np.argsort(np.concatenate(chosen), kind="stable")
    columns = {key: [value[i] for i in order] for key, value in columns.items()}
    columns |= {"corruption": [kind for kind, _ in asked for _ in range(n)]}
    columns |= {"severity": [severity for _, severity in asked for _ in range(n)]}
    return CORRUPT[opened.task.name], {key: [value] * len(order) for key, value in keys.items()} | columns


@torch.no_grad()
def answers(opened: Opened, batch: Batch) -> dict[str, np.ndarray]:
    """Columns of one batch, from outputs in fp32 and evaluation mode.

    Raises
    ------
    ValueError
        If targets do not fit the model, or outputs are not finite.
    """
    exact = models.exact(opened.model)
    with models.frozen(exact):
        outputs = exact(batch.images)
    opened.task.check(outputs, batch.targets, batch.ids)
    found = opened.task.answers(outputs, batch.targets)
    return {"id": np.asarray(batch.ids)} | {
        key: value.cpu().numpy() if isinstance(value, Tensor) else value for key, value in found.items()
    }
