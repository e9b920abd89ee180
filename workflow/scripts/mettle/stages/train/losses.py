"""Training losses by name, all with one protocol: (model, images, targets, step) to loss and logits."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import Policy, frozen, own
from mettle.perturb import Draws, Goal, pgd, pgd_last, targeted, untargeted
from mettle.perturb.losses import random_targets
from mettle.schema import check_registry
from mettle.stages.train.schedules import step_size
from mettle.typed import Recipe


@dataclass(frozen=True)
class Step:
    """The state of training: what a loss may depend on besides model and batch.

    Attributes
    ----------
    epoch : from 0
    progress : epochs done, with the part of the current one
    eps : radius of the training attack now, in pixel range; 0 for clean images
    classes : number of classes
    draws : random numbers of the images of the batch, the same for any number of processes
    policy : device, and precision of the weight update
    recipe : the recipe, defaults filled in
    """

    epoch: int
    progress: float
    eps: float
    classes: int
    draws: Draws
    policy: Policy
    recipe: Recipe


# loss, clean logits, adversarial logits; logits that a loss does not compute are None
Outcome = tuple[Tensor, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Loss:
    """A training loss.

    Attributes
    ----------
    run : (model, images, targets, step) to (loss, clean logits or None, adversarial logits or None). The targets are
        classes (n,), or distributions (n, classes) of mixed images; the loss is a mean over the images
    reference : paper
    views : of each image that it compares, the first one without the recipe's `augment.prime` or `auto_augment`; the
        images that it gets are then (n, views, 3, h, w), in place of (n, 3, h, w)
    """

    run: Callable[[nn.Module, Tensor, Tensor, Step], Outcome]
    reference: str
    views: int = 1


def by_epoch(loss: Callable[[nn.Module, Tensor, Tensor, int], Outcome]) -> Callable[..., Outcome]:
    """A loss of the signature (model, images, targets, epoch) in the protocol of `Loss.run`."""
    return lambda model, images, targets, step: loss(model, images, targets, step.epoch)


def standard(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Outcome:
    """Cross-entropy of the clean images."""
    logits = _logits(model, images, step)
    return cross_entropy(logits, targets, step), logits, None


def bce(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Outcome:
    """Binary cross-entropy of the clean images, mean over images and classes."""
    logits, smoothing = _logits(model, images, step), step.recipe["label_smoothing"]
    wanted = targets if targets.ndim == 2 else F.one_hot(targets, step.classes)
    wanted = wanted * (1 - smoothing) + smoothing / step.classes
    return F.binary_cross_entropy_with_logits(logits, wanted), logits, None


def adversarial(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Outcome:
    """Cross-entropy of attacked images only, Madry et al. 2018, eq. 2.1."""
    logits = _logits(model, attacked(model, images, targets, step), step)
    return cross_entropy(logits, targets, step), None, logits


def trades(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Outcome:
    """Clean cross-entropy and `beta` times the divergence of attacked from clean predictions, Zhang et al. 2019, eq. 5.

    The divergence is KL(p(clean) || p(attacked)), which the attack raises; as in the paper's code, the gradient of the
    loss flows through both.
    """
    moved = diverging(model, images, step)
    clean, robust = _logits(model, images, step), _logits(model, moved, step)
    apart = F.kl_div(robust.log_softmax(1), clean.softmax(1), reduction="batchmean")
    return cross_entropy(clean, targets, step) + step.recipe["beta"] * apart, clean, robust


def jsd(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Outcome:
    """Cross-entropy of clean images, and `jsd_weight` times the divergence of the predictions for all views.

    The Jensen-Shannon divergence: the mean over the views of KL(p(view) || mean p), with the mean clamped to 1e-7 or
    more, Hendrycks et al. 2020 (arXiv:1912.02781), eq. 1; PRIME trains with the same loss (arXiv:2112.13547).
    """
    logits = _logits(model, step.policy.move(images.flatten(0, 1)), step).unflatten(0, images.shape[:2])
    clean, log = logits[:, 0], logits.log_softmax(2)
    chances = log.exp()
    mean = chances.mean(1, keepdim=True).clamp(1e-7, 1).log()
    apart = (chances * (log - mean)).sum(2).mean()
    return cross_entropy(clean, targets, step) + step.recipe["jsd_weight"] * apart, clean, None


def cross_entropy(logits: Tensor, targets: Tensor, step: Step) -> Tensor:
    """Mean cross-entropy with the recipe's label smoothing; targets are classes or distributions."""
    return F.cross_entropy(logits, targets, label_smoothing=step.recipe["label_smoothing"])


def attacked(model: nn.Module, images: Tensor, targets: Tensor, step: Step) -> Tensor:
    """Images under the recipe's training attack at the current radius.

    The attack uses the most likely class of a target, without smoothing. The model is frozen and in evaluation mode
    meanwhile: its BatchNorm statistics stay as they were.
    """
    if step.eps == 0:
        return images
    options, labels = step.recipe["attack"], targets if targets.ndim == 1 else targets.argmax(1)
    goal = untargeted(labels)
    if options["target"] == "random":
        goal = targeted(random_targets(labels, step.classes, step.draws))
    if options["best"]:
        start = {"draws": step.draws, "random_start": options["random_start"]}
        return pgd(model, images, goal, **start, **_ball(step))[0]
    draws = step.draws if options["random_start"] else None
    return pgd_last(model, images, goal, draws=draws, **_ball(step))


def diverging(model: nn.Module, images: Tensor, step: Step) -> Tensor:
    """Images whose predictions are far from the clean ones, Zhang et al. 2019, algorithm 1; the model as in `attacked`.

    At the clean image the divergence has no gradient, so the start is Gaussian noise of 0.001 unless it is random in
    the ball.
    """
    if step.eps == 0:
        return images
    ball = _ball(step)
    with torch.no_grad(), frozen(model), ball["policy"].autocast():
        clean = model(images).float().softmax(1)
    start = {"draws": step.draws}
    if not step.recipe["attack"]["random_start"]:
        start = {"start": images + 0.001 * step.draws.normal(images.shape[1:], "start")}
    return pgd_last(model, images, Goal(_divergence(clean)), **start, **ball)


def _ball(step: Step) -> dict[str, Any]:
    options = step.recipe["attack"]
    found = {key: options[key] for key in ("norm", "steps")}
    policy = replace(step.policy, precision=options["precision"])
    return found | {"eps": step.eps, "step_size": step_size(options, step.eps), "policy": policy}


def _divergence(clean: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda logits, index: F.kl_div(logits.log_softmax(1), clean[index], reduction="none").sum(1)


def _logits(model: nn.Module, images: Tensor, step: Step) -> Tensor:
    with step.policy.autocast():
        return model(images).float()


LOSSES = {
    "standard": Loss(standard, "empirical risk"),
    "bce": Loss(bce, "Wightman et al. 2021, arXiv:2110.00476"),
    "adversarial": Loss(adversarial, "Madry et al. 2018, arXiv:1706.06083"),
    "trades": Loss(trades, "Zhang et al. 2019, arXiv:1901.08573"),
    "jsd": Loss(jsd, "Hendrycks et al. 2020, arXiv:1912.02781", views=3),
}
check_registry("recipe.loss", LOSSES)
_OURS = dict(LOSSES)


def named(name: str, plugins: own.Digests) -> Loss:
    """A loss by its name.

    Parameters
    ----------
    name : key of `LOSSES`, or of what plugins add to it
    plugins : files of the user's that are run first, with their SHA-256

    Raises
    ------
    ValueError
        If there is none of this name, a plugin takes a name that there is, also one that was run for an architecture,
        or it cannot be run.
    """
    own.register(plugins, lambda: LOSSES)
    if name in _OURS and LOSSES.get(name) is not _OURS[name]:
        raise ValueError(f"loss '{name}' is not mettle's: a file of `plugins` has replaced it: choose another name")
    if name not in LOSSES:
        raise ValueError(f"unknown loss '{name}'; known: {', '.join(LOSSES)}; no file of `plugins` registers it")
    return LOSSES[name]
