"""Attacks on features: how alike features are, and images whose features are unlike those of the clean image."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import Policy
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal
from mettle.perturb.norms import Norm, confine, norm, scaled
from mettle.perturb.pgd import pgd
from mettle.perturb.steps import step_size
from mettle.perturb.watch import NOBODY, Watch
from mettle.typed import FeatureAttack

# Of features (n, tokens, d) and (n, tokens, d), one value per image (n,).
Likeness = Callable[[Tensor, Tensor], Tensor]


def over_channels(features: Tensor, others: Tensor) -> Tensor:
    """Cosine of each token over its channels, mean over tokens (n,), in [-1, 1]."""
    return F.cosine_similarity(features, others, dim=2).mean(1)


def over_tokens(features: Tensor, others: Tensor) -> Tensor:
    """Cosine of each channel over the tokens, mean over channels (n,), in [-1, 1].

    What the code of robustness tokens computes (Pulfer et al. 2024): the default axis of torch's cosine similarity.
    """
    return F.cosine_similarity(features, others, dim=1).mean(1)


def of_class_token(features: Tensor, others: Tensor) -> Tensor:
    """Cosine of the class tokens (n,), in [-1, 1]."""
    return F.cosine_similarity(features[:, 0], others[:, 0], dim=1)


LIKENESS: dict[str, Likeness] = {"channels": over_channels, "tokens": over_tokens}
NORMALISED = "linf_normalised"  # see `norm_of`


def attack(
    model: nn.Module,
    images: Tensor,
    clean: Tensor,
    options: FeatureAttack,
    draws: Draws,
    policy: Policy,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Images whose features are as unlike the clean ones as PGD finds them, and the forward passes spent on each.

    Parameters
    ----------
    model : maps images (n, 3, h, w) in [0, 1] to features (n, tokens, d)
    images : (n, 3, h, w) clean images
    clean : their features by the same model
    options : norm, eps, steps and others, see feature_attack.schema.yaml
    draws : random starts of these images
    policy : device and precision
    watch : counts the steps

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range, and after rounding where the options ask for it
    queries : (n,)
    """
    ball, eps = norm_of(options, model), options["eps"]
    told = {"norm": ball, "eps": eps, "steps": options["steps"], "restarts": options["restarts"]}
    told["step_size"] = step_size(options, "feature_attack:step_size")
    goal = unlike(clean, LIKENESS[options["similarity"]])
    found, queries = pgd(model, images, goal, draws=draws, policy=policy, watch=watch, **told)
    if options["max_mse"] is not None:
        found = confine(capped(found, images, options["max_mse"]), images, ball, eps)
    if options["rounding"]:
        found = rounded(found, images, eps, model.model.std if options["norm"] == NORMALISED else None)
    return found, queries


def norm_of(options: FeatureAttack, model: nn.Module) -> Norm:
    """The norm of an attack through a model: `l2`, `linf`, or `linf` of changes as the network sees them.

    The last, `linf_normalised`, is that of changes divided by the standard deviation of the model's preprocessing,
    which the code of robustness tokens attacks in (Pulfer et al. 2024).

    Parameters
    ----------
    options : of the attack
    model : `mettle.models.features.Features`, whose preprocessing counts
    """
    return scaled("linf", model.model.std) if options["norm"] == NORMALISED else norm(options["norm"])


# Grey levels by which a float32 pixel may miss the level that it stands for.
_SLACK = 1e-4


def unlike(clean: Tensor, likeness: Likeness) -> Goal:
    """Features that are unlike the clean ones; nothing is a success, so the worst iterate is the least alike.

    Parameters
    ----------
    clean : (n, tokens, d) features of the clean images
    likeness : of `LIKENESS`
    """
    clean = clean.detach()
    return Goal(lambda features, index: -likeness(features, clean[index]))


def rounded(attacked: Tensor, images: Tensor, eps: float, std: Tensor | None = None) -> Tensor:
    """Attacked images as 8-bit images have them, inside the Linf ball and the pixel range.

    Each value becomes the nearest multiple of 1/255 that is in the ball; where the ball has none, it stays.

    Parameters
    ----------
    attacked, images : (n, 3, h, w) in [0, 1]
    eps : radius of the ball
    std : (3, 1, 1) that the radius is a multiple of; None for pixels
    """
    reach = eps if std is None else eps * std.double()
    low = torch.ceil((images.double() - reach).clamp(min=0) * 255 - _SLACK)
    high = torch.floor((images.double() + reach).clamp(max=1) * 255 + _SLACK)
    found = (attacked.double() * 255).round().maximum(low).minimum(high)
    found = torch.where(low <= high, found / 255, attacked.double())
    return confine(found.to(attacked.dtype), images, "linf" if std is None else scaled("linf", std), eps)


def capped(attacked: Tensor, images: Tensor, most: float) -> Tensor:
    """Attacked images whose mean squared error is at most `most`: perturbations of images beyond it are scaled down."""
    change = attacked - images
    error = change.square().flatten(1).mean(1)
    scale = (most / error.clamp(min=1e-12)).sqrt().clamp(max=1)
    return images + scale[:, None, None, None] * change
