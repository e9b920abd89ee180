"""Balls of attacks: distance, projection, steepest step and uniform start, per norm and per image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mettle.schema import suggest


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _length(delta: Tensor) -> Tensor:
    return delta.flatten(1).norm(dim=1)


def _l2_project(delta: Tensor, eps: float) -> Tensor:
    factor = (eps / _length(delta).clamp_min(1e-12)).clamp_max(1)
    return delta * _per_image(factor, delta)


def _l2_step(gradient: Tensor) -> Tensor:
    return gradient / _per_image(_length(gradient).clamp_min(1e-12), gradient)


def _l2_uniform(gaussian: Tensor, uniform: Tensor) -> Tensor:
    radius = uniform.pow(1 / gaussian[0].numel())
    return _l2_step(gaussian) * _per_image(radius, gaussian)


def _linf_uniform(gaussian: Tensor, uniform: Tensor) -> Tensor:
    return torch.erf(gaussian / 2**0.5)  # the normal distribution function, moved to [-1, 1]


@dataclass(frozen=True)
class Norm:
    """Geometry of a ball.

    Attributes
    ----------
    distance : (n, ...) difference to (n,) distances in float64
    project : (difference, eps) to the nearest difference in the ball
    step : gradient to the unit-length direction of steepest ascent; zero for a zero gradient
    uniform : (standard normal (n, ...), uniform (n,)) to points uniform in the unit ball
    """

    distance: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float], Tensor]
    step: Callable[[Tensor], Tensor]
    uniform: Callable[[Tensor, Tensor], Tensor]


NORMS = {
    "l2": Norm(lambda delta: _length(delta.double()), _l2_project, _l2_step, _l2_uniform),
    "linf": Norm(
        lambda delta: delta.double().abs().flatten(1).amax(dim=1),
        lambda delta, eps: delta.clamp(-eps, eps),
        torch.sign,
        _linf_uniform,
    ),
}


def norm(name: str | Norm) -> Norm:
    """The norm of this name, or a norm itself; ValueError with the known names for an unknown one."""
    if isinstance(name, Norm):
        return name
    if name not in NORMS:
        raise ValueError(f"unknown norm '{name}'{suggest(name, NORMS)}")
    return NORMS[name]


def scaled(name: str, scale: Tensor) -> Norm:
    """The norm of differences divided by a scale, such as the standard deviation (3, 1, 1) that a network divides by.

    A radius and a step then count in units of the scale. Distance, projection and steepest step are exact, since the
    scale changes no more than the unit of each axis.
    """
    plain = norm(name)
    return Norm(
        lambda delta: plain.distance(delta / scale),
        lambda delta, eps: plain.project(delta / scale, eps) * scale,
        lambda gradient: plain.step(gradient * scale) * scale,
        lambda gaussian, uniform: plain.uniform(gaussian, uniform) * scale,
    )


def project(attacked: Tensor, images: Tensor, name: str | Norm, eps: float) -> Tensor:
    """The attacked images (n, ...) projected into the ball around the images and into [0, 1], up to rounding."""
    return (images + norm(name).project(attacked - images, eps)).clamp(0, 1)


def confine(attacked: Tensor, images: Tensor, name: str | Norm, eps: float) -> Tensor:
    """The attacked images projected into the ball around the images and into [0, 1], exactly.

    Parameters
    ----------
    attacked, images : (n, ...) float32; images in [0, 1]
    name : norm, or its name
    eps : radius in pixel range

    Returns
    -------
    Tensor
        float32 images whose distance, computed in float64 from the rounded values, is at most eps. Rounding to
        float32 can carry a point past the border by a unit in the last place: such an image is drawn in by 1e-6 of its
        difference, then by twice as much and so on until it is inside.
    """
    inside = project(attacked, images, name, eps)
    shrink = 1e-6
    while (outside := norm(name).distance(inside.double() - images.double()) > eps).any():
        x = images[outside].double()
        inside[outside] = (x + (inside[outside].double() - x) * (1 - shrink)).float()
        shrink *= 2  # a fixed factor might be lost to rounding for ever
    return inside
