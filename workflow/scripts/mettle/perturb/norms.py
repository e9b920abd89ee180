"""Balls of attacks: distance, dual norm, projection, steepest step and uniform start, per norm and per image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mettle.perturb.projections import onto_ball, onto_ball_in_box
from mettle.schema import suggest

_SHARE = 0.01  # of the coordinates that a step in L1 changes, Tramèr & Boneh 2019 (arXiv:1904.13000), section 4.1


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _length(delta: Tensor) -> Tensor:
    return delta.flatten(1).norm(dim=1)


def _l2_project(delta: Tensor, eps: float | Tensor) -> Tensor:
    factor = (eps / _length(delta).clamp_min(1e-12)).clamp_max(1)
    return delta * _per_image(factor, delta)


def _l2_step(gradient: Tensor) -> Tensor:
    return gradient / _per_image(_length(gradient).clamp_min(1e-12), gradient)


def _l2_uniform(gaussian: Tensor, uniform: Tensor) -> Tensor:
    radius = uniform.pow(1 / gaussian[0].numel())
    return _l2_step(gaussian) * _per_image(radius, gaussian)


def _linf_project(delta: Tensor, eps: float | Tensor) -> Tensor:
    reach = _per_image(eps, delta) if isinstance(eps, Tensor) else eps
    return delta.clamp(-reach, reach)


def _linf_uniform(gaussian: Tensor, uniform: Tensor) -> Tensor:
    return torch.erf(gaussian / 2**0.5)  # the normal distribution function, moved to [-1, 1]


def sparse_step(gradient: Tensor, share: Tensor | float) -> Tensor:
    """Signs of the largest coordinates of a gradient (n, ...), of length 1 in L1; zero for a zero gradient.

    Parameters
    ----------
    gradient : (n, ...)
    share : fraction of the coordinates that count, of all images or (n,) of each; at least one does, and equals do
    """
    size = gradient.abs().flatten(1)
    share = torch.as_tensor(share, device=size.device).expand(len(size))
    first = ((1 - share) * size.shape[1]).long().clamp(0, size.shape[1] - 1)
    least = size.sort(dim=1).values.gather(1, first[:, None])
    signs = torch.where(size >= least, gradient.flatten(1).sign(), 0.0)
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).view_as(gradient)


def _l1_uniform(gaussian: Tensor, uniform: Tensor) -> Tensor:
    laplace = -torch.log(torch.erfc(gaussian.abs() / 2**0.5)) * gaussian.sign()  # by their distribution functions
    radius = uniform.pow(1 / gaussian[0].numel()) / laplace.flatten(1).abs().sum(1).clamp_min(1e-12)
    return laplace * _per_image(radius, gaussian)


@dataclass(frozen=True)
class Norm:
    """Geometry of a ball.

    Attributes
    ----------
    distance : (n, ...) difference to (n,) distances in float64
    dual : gradient (n, ...) to (n,), by how much a step of length 1 raises what it is a gradient of, at most
    project : (difference, eps of all or (n,) of each) to the nearest difference in the ball
    step : gradient to a direction of length 1: that of steepest ascent, in L1 the signs of its largest hundredth; zero
        for a zero gradient
    uniform : (standard normal (n, ...), uniform (n,)) to points uniform in the unit ball
    meet : (difference, images, eps) to the nearest difference in the ball that keeps the images in [0, 1]; None where
        the projection into the ball is then cut to the pixel range: in Linf that is the same, and in L2, where it is
        not the nearest, attacks are published so
    """

    distance: Callable[[Tensor], Tensor]
    dual: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float | Tensor], Tensor]
    step: Callable[[Tensor], Tensor]
    uniform: Callable[[Tensor, Tensor], Tensor]
    meet: Callable[[Tensor, Tensor, float | Tensor], Tensor] | None = None


def _sum(delta: Tensor) -> Tensor:
    return delta.abs().flatten(1).sum(1)


def _largest(delta: Tensor) -> Tensor:
    return delta.abs().flatten(1).amax(1)


NORMS = {
    "l1": Norm(
        lambda delta: _sum(delta.double()),
        _largest,
        onto_ball,
        lambda gradient: sparse_step(gradient, _SHARE),
        _l1_uniform,
        onto_ball_in_box,
    ),
    "l2": Norm(lambda delta: _length(delta.double()), _length, _l2_project, _l2_step, _l2_uniform),
    "linf": Norm(
        lambda delta: _largest(delta.double()),
        _sum,
        _linf_project,
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
        lambda gradient: plain.dual(gradient * scale),
        lambda delta, eps: plain.project(delta / scale, eps) * scale,
        lambda gradient: plain.step(gradient * scale) * scale,
        lambda gaussian, uniform: plain.uniform(gaussian, uniform) * scale,
    )


def project(attacked: Tensor, images: Tensor, name: str | Norm, eps: float | Tensor) -> Tensor:
    """The attacked images (n, ...) projected into the ball, or each into its own, and into [0, 1], up to rounding."""
    ball, delta = norm(name), attacked - images
    delta = ball.meet(delta, images, eps) if ball.meet else ball.project(delta, eps)
    return (images + delta).clamp(0, 1)


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
