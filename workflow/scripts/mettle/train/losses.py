"""Training losses by name, all with one protocol: (model, images, labels, step) to loss and logits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import Policy
from mettle.perturb import per_batch, pgd, pgd_last


@dataclass(frozen=True)
class Step:
    """Where training stands: what a loss may depend on besides model and batch."""

    epoch: int
    seed: int
    policy: Policy
    recipe: dict[str, Any]


# loss, clean logits, adversarial logits; logits that a loss does not compute are None
Outcome = tuple[Tensor, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Loss:
    """A training loss.

    Attributes
    ----------
    run : (model, images, labels, step) to (loss, clean logits or None, adversarial logits or None)
    reference : paper
    """

    run: Callable[[nn.Module, Tensor, Tensor, Step], Outcome]
    reference: str


def standard(model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Outcome:
    """Cross-entropy of the clean images."""
    loss, logits = _cross_entropy(model, images, labels, step)
    return loss, logits, None


def adversarial(model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Outcome:
    """Cross-entropy of attacked images only, Madry et al. 2018, eq. 2.1; the attack's model is in evaluation mode."""
    options = dict(step.recipe["attack"])
    run = pgd if options.pop("best") else pgd_last
    start = per_batch(options["norm"], images, step.seed) if options.pop("random_start") else None
    attacked = run(model, images, labels, start=start, policy=step.policy, **options)
    attacked = attacked[0] if isinstance(attacked, tuple) else attacked
    loss, logits = _cross_entropy(model, attacked, labels, step)
    return loss, None, logits


def _cross_entropy(model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    with step.policy.autocast():
        logits = model(images).float()
    return F.cross_entropy(logits, labels, label_smoothing=step.recipe["label_smoothing"]), logits


LOSSES = {
    "standard": Loss(standard, "empirical risk"),
    "adversarial": Loss(adversarial, "Madry et al. 2018, arXiv:1706.06083"),
}
