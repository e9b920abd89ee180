"""Held-out images whose features are attacked through a model: the same ones, whatever is measured on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle.evaluation import Batch, Evaluation, Opened
from mettle.flow.parts import Parts
from mettle.models.features import Features
from mettle.perturb import Draws
from mettle.perturb.features import attack
from mettle.typed import FeatureAttack


def features_of(evaluation: Evaluation, opened: Opened, path: str | Path | None) -> nn.Module:
    """The features of the evaluated model, or of that of other weights, on its device."""
    model = opened.model if path is None else evaluation.on(path, evaluation.store).open(scored=False).model
    return opened.policy.place(Features(model)).eval()


@torch.no_grad()
def attacked(opened: Opened, batch: Batch, through: nn.Module, options: FeatureAttack) -> tuple[Tensor, Tensor]:
    """Attacked images of a batch (n, 3, h, w), and the forward passes of the attack for each (n,).

    They depend on the model that the attack sees and on the ids of the images, not on the model that is evaluated.

    Parameters
    ----------
    opened : the evaluation
    batch : clean images
    through : features that the attack changes
    options : of the attack, with defaults filled in
    """
    draws = Draws(opened.job.seed, batch.ids, opened.policy.device)
    return attack(through, batch.images, through(batch.images), options, draws, opened.policy)


def in_parts(
    opened: Opened,
    chosen: list[np.ndarray],
    made_from: list[Any],
    resume: str | Path,
    answer: Callable[[Batch], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Columns of all batches, one after the other; a killed job resumes from those that are finished.

    Parameters
    ----------
    opened : the evaluation
    chosen : positions of the images of each batch
    made_from : what the answers depend on beside the evaluation
    resume : folder for the answers to finished batches
    answer : of a batch, its columns
    """
    evaluation, job = opened.evaluation, opened.job
    parts = Parts(resume, [*evaluation.made_from, *made_from], len(chosen))
    if parts.done:
        job.say(f"resuming: {len(parts.done)} of {len(chosen)} batches are done")
    opened.say(sum(map(len, chosen)))
    left = opened.batches([chosen[i] for i in parts.left], "attack")
    for number, batch in zip(parts.left, left, strict=True):
        parts.save(number, answer(batch))
    return parts.collect()
