"""Square attack, Andriushchenko et al. 2020 (arXiv:1912.00049): random search that uses only scores."""

from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from mettle.models import Policy, frozen
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal
from mettle.perturb.losses import margin
from mettle.perturb.norms import confine, project
from mettle.perturb.norms import norm as ball_of
from mettle.perturb.oracle import Oracle
from mettle.perturb.watch import NOBODY, Watch
from mettle.perturb.worst import Worst

# Steps of 10,000 after which the fraction of pixels in a window is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_POWER = {"l1": 1, "l2": 2}
_TILES = 5  # each way, in the start in L1 and L2


def square(
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    queries: int = 5000,
    p_init: float = 0.8,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Images changed in random squares, one after another, wherever that lowers the margin.

    Parameters
    ----------
    model : maps images to logits; gradients are not used
    images : (n, 3, h, w) in [0, 1]
    goal : of `untargeted`
    norm : `l1`, `l2` or `linf`
    eps : radius, in pixel range
    draws : random numbers of these images
    policy : device and precision of the passes
    queries : passes per image at most, that on the clean image and that on the start included; the fp32 passes that
        confirm a success in another precision come on top
    p_init : fraction of the pixels in the first windows
    watch : counts the passes

    Returns
    -------
    images : (n, 3, h, w), inside ball and pixel range: the first iterate that fools the model, else the one with the
        smallest margin; the image itself where the model was wrong already
    queries : (n,) forward passes spent on each image

    Notes
    -----
    Algorithms 1 to 3 of the paper, and in L1 that of Croce & Hein 2021 (arXiv:2103.01208), section 5. We differ in two
    points: every image has windows of its own, so that batches do not matter, and windows reach the last row and
    column, which the published code never draws as their end.
    """
    ball_of(norm)  # raises for an unknown name
    oracle, worst = Oracle(model, goal, len(images), policy, draws.ids), Worst(images)
    radius = _radius(norm, eps, images[0].numel())
    with frozen(model):
        if queries:
            worst.look(oracle, worst.remaining(), images, lambda logits, index: -margin(logits, goal.labels[index]))
        index = worst.remaining()
        origin, best, least = images[index], images[index], torch.full_like(worst.value[index], torch.inf)
        for query in watch.progress(range(1, queries), "square"):
            if not len(index):
                break
            if query == 1:
                candidate = _STARTS[norm](origin, radius, draws.take(index))
            else:
                numbers = draws.take(index).uniform([5 + images.shape[1]], "square", query)
                share = p_init * _share(query - 2, queries)
                candidate = _MOVES[norm](origin, best, radius, share, numbers)
            logits = oracle.logits(candidate, index)
            left, fooled = margin(logits, goal.labels[index]), oracle.fooled(candidate, logits, index)
            better = left < least
            best[better], least[better] = candidate[better], left[better]
            if fooled.any():
                worst.consider(index[fooled], candidate[fooled], fooled[fooled], -left[fooled])
                index, origin, best, least = (rows[~fooled] for rows in (index, origin, best, least))
        worst.consider(index, best, torch.zeros_like(index, dtype=torch.bool), -least)
    return confine(worst.images, images, norm, eps), oracle.queries


def _share(step: int, steps: int) -> float:
    """How much smaller windows are by now, as a factor on their fraction of the pixels."""
    done = int(step / steps * 10_000)
    return 0.5 ** sum(done > end for end in _HALVINGS)


def _radius(norm: str, eps: float, dimensions: int) -> float:
    """A radius so little smaller that rounding a pixel of [0, 1] to float32 carries no image out of the ball."""
    rounding = 2**-24 * {"l1": dimensions, "l2": dimensions**0.5, "linf": 1}[norm]
    return max(eps * (1 - 1e-6) - rounding, 0.0)


def _signs(uniform: Tensor) -> Tensor:
    return torch.where(uniform < 0.5, -1.0, 1.0)


def _stripes(origin: Tensor, radius: float, draws: Draws) -> Tensor:
    """Vertical stripes of one pixel's width, each channel of each up or down by the radius."""
    signs = _signs(draws.uniform([origin.shape[1], 1, origin.shape[3]], "stripes"))
    return (origin + radius * signs).clamp(0, 1)


def _recolour(origin: Tensor, best: Tensor, radius: float, share: float, numbers: Tensor) -> Tensor:
    """One window whose channels go up or down by the radius (algorithm 2)."""
    size = _size(share, origin, 1)
    window = _window(numbers[:, :2], size, origin)
    colour = (origin.flatten(2).gather(2, window) + radius * _signs(numbers[:, 5:, None])).clamp(0, 1)
    return best.flatten(2).scatter(2, window, colour).view_as(origin)


def _tiles(norm: str, origin: Tensor, radius: float, draws: Draws) -> Tensor:
    """A grid of tiles, each with the pattern of a window, scaled to the radius."""
    n, channels, height, width = origin.shape
    size = max(min(height, width) // _TILES, 1)
    rows, columns = min(_TILES, height // size), min(_TILES, width // size)
    uniform = draws.uniform([1 + channels, rows, columns], "tiles")
    pattern = _patterns(size, norm).to(origin.device)[(uniform[:, :1] < 0.5).long()]
    tiles = pattern * _signs(uniform[:, 1:, ..., None, None])
    grid = tiles.transpose(3, 4).reshape(n, channels, rows * size, columns * size)
    top, left = (height - rows * size) // 2, (width - columns * size) // 2
    change = torch.zeros_like(origin)
    change[:, :, top : top + rows * size, left : left + columns * size] = grid
    return _brought(norm, origin, change, radius)


def _carry(norm: str, origin: Tensor, best: Tensor, radius: float, share: float, numbers: Tensor) -> Tensor:
    """The change within one window goes into another, on top of a new pattern there (algorithm 3)."""
    size = _size(share, origin, 3)
    change = (best - origin).flatten(2)
    into, outof = _window(numbers[:, :2], size, origin), _window(numbers[:, 2:4], size, origin)
    shared = torch.zeros_like(change, dtype=torch.bool).scatter_(2, into, True).gather(2, outof)
    old, gone = change.gather(2, into), change.gather(2, outof).masked_fill(shared, 0)
    power, channels = _POWER[norm], origin.shape[1]
    budget = old.abs().pow(power).sum(2) + gone.abs().pow(power).sum(2)
    budget += (radius**power - change.abs().pow(power).sum((1, 2))).clamp_min(0)[:, None] / channels
    if norm == "l1":
        budget *= channels  # of the published code; the projection brings it back
    pattern = _patterns(size, norm).to(origin.device)[(numbers[:, 4] < 0.5).long()].flatten(1)
    new = _unit(pattern[:, None] * _signs(numbers[:, 5:, None]) + _unit(old, power), power)
    new = new * budget.pow(1 / power)[..., None]
    return _brought(norm, origin, change.scatter(2, outof, 0.0).scatter_(2, into, new).view_as(origin), radius)


def _size(share: float, like: Tensor, least: int) -> int:
    """Edge of a window in pixels; where the least is 3, in L1 and L2, it is odd."""
    height, width = like.shape[2:]
    edge = max(round((share * height * width) ** 0.5), least)
    return min(edge | 1 if least == 3 else edge, height, width)


def _window(corner: Tensor, size: int, like: Tensor) -> Tensor:
    """Positions (n, channels, size * size) of a window's pixels in flattened images.

    `corner` is uniform in [0, 1), (n, 2): where between the first and the last row and column the window begins.
    """
    n, channels, height, width = like.shape
    top, left = ((corner * corner.new_tensor([height - size + 1, width - size + 1])).long()[..., None]).unbind(1)
    along = torch.arange(size, device=like.device)
    pixels = (top + along)[:, :, None] * width + (left + along)[:, None, :]
    return pixels.view(n, 1, -1).expand(-1, channels, -1)


@cache
def _patterns(size: int, norm: str) -> Tensor:
    """A hill on top of a dale and its transpose, each of length 1 in the norm: (2, size, size), the paper's eta."""
    half = size // 2
    pattern = torch.cat([_hill(half, size, norm), -_hill(size - half, size, norm)])
    pattern /= pattern.norm(_POWER[norm])
    return torch.stack([pattern, pattern.T])


def _hill(height: int, width: int, norm: str) -> Tensor:
    """Sum over k of 1 / (k + 1)^2 for all squares of half edge k around the middle that hold the pixel, length 1.

    In L1 of 1 / (k + 1)^4.
    """
    if not height:
        return torch.zeros(0, width)
    away = torch.maximum(
        (torch.arange(height) - height // 2).abs()[:, None], (torch.arange(width) - width // 2).abs()[None, :]
    )
    steps = torch.arange(1, max(height, width) // 2 + 2, dtype=torch.float64).pow(-4 if norm == "l1" else -2)
    hill = steps.flip(0).cumsum(0).flip(0)[away].float()
    return hill / hill.norm(_POWER[norm])


def _unit(values: Tensor, power: int) -> Tensor:
    """Each channel (last axis) scaled to length 1."""
    return values / (1e-12 + vector_norm(values, power, dim=-1, keepdim=True))


def _brought(norm: str, origin: Tensor, change: Tensor, radius: float) -> Tensor:
    """The images changed in this direction by the radius, cut to the pixel range; in L1 the projection into both."""
    if norm == "l1":
        return project(origin + change, origin, norm, radius)
    length = vector_norm(change.flatten(1), dim=1).clamp_min(1e-12)
    return (origin + change * (radius / length)[:, None, None, None]).clamp(0, 1)


_STARTS = {"l1": partial(_tiles, "l1"), "l2": partial(_tiles, "l2"), "linf": _stripes}
_MOVES = {"l1": partial(_carry, "l1"), "l2": partial(_carry, "l2"), "linf": _recolour}
