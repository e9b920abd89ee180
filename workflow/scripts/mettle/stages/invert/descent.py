"""Inversion: an image that a model represents like a target, found by descent from an unrelated seed.

Nothing else of the target appears in the image, unless the model's features encode it (Jones et al. 2022,
UAI, "If you've trained one you've trained them all"; as run by Klabunde et al. 2025).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mettle.models import Classifier, Policy, frozen
from mettle.perturb.oracle import named
from mettle.perturb.watch import NOBODY, Watch

_PIXELS = (1, 2, 3)
_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Inverted:
    """What inversion found for a batch of images.

    Attributes
    ----------
    images : (n, 3, h, w) float32 in [0, 1], the iterate with the lowest loss, whether seed, one between, or last
    start : (n,) float32, loss of the seed
    loss : (n,) float32, loss of `images`, never above `start`
    step : (n,) int64, updates after which `images` was found; 0 is the seed
    """

    images: Tensor
    start: Tensor
    loss: Tensor
    step: Tensor


def invert(
    model: Classifier,
    seeds: Tensor,
    targets: Tensor,
    *,
    steps: int,
    step_size: float,
    momentum: float,
    policy: Policy,
    ids: Sequence[int] | Tensor | None = None,
    watch: Watch = NOBODY,
    state: dict[str, Any] | None = None,
    keep: Callable[[Callable[[], dict[str, Any]]], None] = lambda state: None,
) -> Inverted:
    """Images that start at the seeds and come near the targets in the model's penultimate features.

    The loss is ||f(x) - f(t)|| / ||f(t)||, in fp32 whatever the precision of the pass. With g its gradient, normalised
    per image, an update is

        m = momentum m + (1 - momentum) g,    x = clamp(x - step_size m, 0, 1),    m = 0 at first.

    Images do not influence each other, so batches change nothing but rounding.

    Parameters
    ----------
    model : maps images to features by `both`; frozen and in evaluation mode meanwhile
    seeds, targets : (n, 3, h, w) in [0, 1]
    steps : updates, each a forward and a backward pass; one more pass evaluates the last image
    step_size : length of an update once the gradients agree, in pixel range, L2
    momentum : weight of the old direction, in [0, 1)
    policy : device and precision of the passes
    ids : names of the images in messages; without it, their positions
    watch : counts the steps
    state : from `keep`, to resume from with the same result, bit by bit
    keep : called after each update with a function that gives the state of the batch

    Raises
    ------
    ValueError
        If features are not finite, those of a target are all zero, or the gradient is exactly zero at a seed whose
        loss is positive: such an image would never move.

    Notes
    -----
    The published code also projects on a ball of radius 1,000 around the seed. It is left out: no two images in [0, 1]
    are that far apart (388 at 224 x 224 pixels). And it divides by the length of the gradient as it is, which gives
    NaN where that is zero; here a zero gradient adds nothing to m.
    """
    ids = range(len(seeds)) if ids is None else ids
    batch = _Descent(seeds)
    batch.restore(state or {})
    image = batch.pixels.detach().requires_grad_(True)  # the same pixels, seen with their gradient
    with frozen(model):
        wanted = _wanted(model, targets, policy, ids)
        for _ in watch.progress(range(batch.step, steps), "inversion"):
            loss = _loss(model, image, wanted, policy)
            (gradient,) = torch.autograd.grad(loss.sum(), image)
            # In double precision, for the square of a small gradient is no number of float32.
            length = torch.linalg.vector_norm(gradient, dim=_PIXELS, keepdim=True, dtype=torch.float64)
            if batch.step == 0:
                _check_start(loss, length.flatten(), ids)
            batch.look(loss.detach())
            batch.move(gradient, length, step_size, momentum)
            keep(batch.state)
        with torch.no_grad():
            loss = _loss(model, image, wanted, policy)
    _refuse(~loss.isfinite(), "the loss of {} became NaN or infinite during the descent", ids)
    batch.look(loss)
    return Inverted(batch.best, batch.start, batch.loss, batch.found)


@torch.no_grad()
def relative_distance(model: Classifier, images: Tensor, targets: Tensor, policy: Policy) -> Tensor:
    """Distance of the images' features to the targets', over the length of the latter: the loss, float32 (n,)."""
    with frozen(model):
        return _loss(model, images, _wanted(model, targets, policy, range(len(targets))), policy)


class _Descent:
    """A batch during the descent; nothing here waits for the device.

    Attributes
    ----------
    step : updates so far
    pixels, direction : (n, 3, h, w) iterates, and the mean of their gradients
    best, loss, found : iterates with the lowest loss so far, that loss (n,), and the updates before them (n,)
    start : (n,) loss of the seeds
    """

    def __init__(self, seeds: Tensor) -> None:
        self.step = 0
        self.pixels, self.direction = seeds.detach().clone(), torch.zeros_like(seeds)
        self.best = self.pixels.clone()
        self.start: Tensor | None = None

    def look(self, loss: Tensor) -> None:
        """Keep the images whose loss is the lowest so far."""
        if self.start is None:
            self.start, self.loss = loss, loss.clone()
            self.found = torch.zeros(loss.shape, dtype=torch.int64, device=loss.device)
            return
        better = loss < self.loss
        torch.where(better[:, None, None, None], self.pixels, self.best, out=self.best)
        torch.where(better, loss, self.loss, out=self.loss)
        self.found.masked_fill_(better, self.step)

    def move(self, gradient: Tensor, length: Tensor, step_size: float, momentum: float) -> None:
        """An update along the normalised gradient."""
        self.direction.mul_(momentum).addcmul_(gradient, ((1 - momentum) / length.clamp_min(_TINY)).float())
        self.pixels.sub_(self.direction, alpha=step_size).clamp_(0, 1)
        self.step += 1

    def state(self) -> dict[str, Any]:
        """Everything that the next updates and the result depend on."""
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state, whatever device its tensors are on."""
        for key, value in state.items():
            setattr(self, key, value.to(self.pixels.device) if isinstance(value, Tensor) else value)


def _features(model: Classifier, images: Tensor, policy: Policy) -> Tensor:
    with policy.autocast():
        return model.both(images)[1].float()


@torch.no_grad()
def _wanted(model: Classifier, targets: Tensor, policy: Policy, ids: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
    """Features of the targets (n, d) and their lengths (n,)."""
    features = _features(model, targets, policy)
    length = torch.linalg.vector_norm(features, dim=1)
    _refuse(~length.isfinite(), "the model's features of target {} hold NaN or infinite values", ids)
    _refuse(length == 0, "the model's features of target {} are all zero, so no distance is relative to them", ids)
    return features, length


def _loss(model: Classifier, images: Tensor, wanted: tuple[Tensor, Tensor], policy: Policy) -> Tensor:
    features, length = wanted  # the gradient of vector_norm is zero, not NaN, where the features are those wanted
    return torch.linalg.vector_norm(_features(model, images, policy) - features, dim=1) / length


def _check_start(loss: Tensor, length: Tensor, ids: Sequence[int] | Tensor) -> None:
    _refuse(~(loss.isfinite() & length.isfinite()), "loss or gradient at the seed of {} is NaN or infinite", ids)
    stuck = (length == 0) & (loss > 0)
    _refuse(stuck, "the gradient is exactly zero at the seed of {}, so nothing would move it", ids)


def _refuse(wrong: Tensor, message: str, ids: Sequence[int] | Tensor) -> None:
    if wrong.any():
        positions = wrong.nonzero()[:, 0].tolist()
        which = named(ids, positions)
        raise ValueError(f"{message.format(which)} ({len(positions)} of {len(wrong)} images of the batch)")
