"""Accuracy during training: on clean held-out images, and under PGD of one and of many steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from mettle import models
from mettle.data.loading import ImageSet, batches, split
from mettle.distributed import ProcessGroup
from mettle.models import Policy
from mettle.perturb import Draws, pgd_last, step_size, untargeted
from mettle.perturb.watch import NOBODY, Watch
from mettle.seeds import derive
from mettle.typed import Recipe, TrainingAttack


@dataclass(frozen=True)
class Passes:
    """How images go through a model in validation.

    Attributes
    ----------
    policy : device and precision
    batch_size : images per pass
    workers : processes that decode ahead
    group : processes that share the work
    watch : counts the batches
    """

    policy: Policy
    batch_size: int
    workers: int = 0
    group: ProcessGroup = field(default_factory=ProcessGroup)
    watch: Watch = NOBODY


@torch.no_grad()
def evaluate(model: nn.Module, image_set: ImageSet, chosen: np.ndarray, passes: Passes) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of a model on clean images, in evaluation mode.

    Parameters
    ----------
    model : the model
    image_set : held-out images
    chosen : positions of those to take
    passes : how they go through the model
    """
    policy, group = passes.policy, passes.group
    loss = correct = 0.0
    turns, counted = group.turns(split(chosen, passes.batch_size))
    with models.frozen(model), policy.autocast():
        loaded = passes.watch.progress(batches(image_set, turns, passes.workers), "validation", len(turns))
        for turn, (batch, labels, _) in enumerate(loaded):
            logits = model(policy.move(batch)).float()
            if turn >= counted:
                continue
            labels = labels.to(policy.device)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
    loss, correct = group.sums(loss, correct)
    return loss / len(chosen), correct / len(chosen)


def robust(
    model: nn.Module,
    image_set: ImageSet,
    chosen: np.ndarray,
    attack: TrainingAttack,
    steps: Sequence[int],
    passes: Passes,
) -> list[float]:
    """Accuracy under PGD at full eps, for each number of steps: random start, last iterate.

    The starts depend on the images alone, so that epochs and models can be compared. Other parameters are those of
    `evaluate`.
    """
    policy, watch = passes.policy, passes.watch
    correct = [0.0] * len(steps)
    turns, counted = passes.group.turns(split(chosen, passes.batch_size))
    loaded = watch.progress(batches(image_set, turns, passes.workers), "validation under attack", len(turns))
    for turn, (batch, labels, ids) in enumerate(loaded):
        batch, labels = policy.move(batch), labels.to(policy.device)
        draws = Draws(derive("validation"), ids, policy.device)
        for k, count in enumerate(steps):
            attacked = pgd_last(
                model, batch, untargeted(labels), draws=draws, policy=policy, watch=watch, **_pgd(attack, count)
            )
            with torch.no_grad(), models.frozen(model), policy.autocast():
                hits = (model(attacked).argmax(1) == labels).sum().item()
            correct[k] += hits if turn < counted else 0.0
    return [found / len(chosen) for found in passes.group.sums(*correct)]


def _pgd(attack: TrainingAttack, steps: int) -> dict[str, Any]:
    """Options of PGD with this many steps at full eps."""
    options = {"norm": attack["norm"], "eps": attack["eps"], "steps": steps}
    return options | {"step_size": step_size(options, "recipe:validation.steps")}


def pictures(
    model: nn.Module, image_set: ImageSet, chosen: np.ndarray, recipe: Recipe, policy: Policy
) -> dict[str, np.ndarray]:
    """Images side by side, uint8 (h, n w, 3): clean and, if the recipe has an attack, attacked and the perturbation.

    The attack is that of `robust` with the recipe's `validation.steps`. The perturbation is scaled to its largest
    entry, around grey.

    Parameters
    ----------
    model, image_set, chosen : as in `evaluate`
    recipe : the recipe
    policy : device and precision
    """
    clean, labels, ids = image_set.__getitems__(chosen.tolist())
    found = {"validation/clean": clean}
    if attack := recipe.get("attack"):
        draws, options = Draws(derive("validation"), ids, policy.device), _pgd(attack, recipe["validation"]["steps"])
        attacked = pgd_last(
            model, policy.move(clean), untargeted(labels.to(policy.device)), draws=draws, policy=policy, **options
        ).cpu()
        added = attacked - clean
        found["validation/attacked"] = attacked
        found["validation/perturbation"] = 0.5 + added / (2 * added.abs().max()).clamp(min=1e-12)
    return {name: _side_by_side(values) for name, values in found.items()}


def _side_by_side(images: torch.Tensor) -> np.ndarray:
    return (torch.cat([*images], dim=2).permute(1, 2, 0) * 255).round().byte().numpy()


# Columns of the table of epochs if nothing was attacked.
NOT_ATTACKED = dict.fromkeys(("one_step_accuracy", "robust_accuracy", "robust_steps", "robust_n", "alarm"))


def under_attack(
    model: nn.Module,
    image_set: ImageSet,
    chosen: np.ndarray,
    attack: TrainingAttack,
    options: dict[str, Any],
    passes: Passes,
) -> dict[str, Any]:
    """Columns of the table of epochs; `options` is the recipe's block `validation`, the others are as in `robust`."""
    steps = options["steps"]
    one, many = robust(model, image_set, chosen, attack, (1, steps), passes)
    text = alarm(one, many, steps, options["alarm"])
    return dict(zip(NOT_ATTACKED, (one, many, steps, len(chosen), text), strict=True))


def alarm(one_step: float, multi_step: float, steps: int, limit: float) -> str | None:
    """A sentence if one-step accuracy exceeds multi-step accuracy by more than the limit, else None.

    The training attack has then become too weak: catastrophic overfitting, Wong et al. 2020 (arXiv:2001.03994).
    """
    if one_step - multi_step <= limit:
        return None
    return (
        f"catastrophic overfitting: accuracy {one_step:.3f} under one step of PGD, {multi_step:.3f} under {steps}; "
        "more steps in training, fewer augmentations or a slower rise of eps help"
    )
