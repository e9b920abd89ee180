"""PRIME: mixtures of chains of random primitives, Modas, Rade et al. 2022 (arXiv:2112.13547)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mettle.augment.color import color
from mettle.augment.diffeo import diffeomorphism
from mettle.augment.filters import random_filter
from mettle.perturb import Draws
from mettle.schema import check_registry
from mettle.typed import Prime


@dataclass(frozen=True)
class Primitive:
    """A random change of images.

    Attributes
    ----------
    run : (images, draws, options, *counters) to images; images (n, 3, h, w) in [0, 1] of which each is changed on its
        own
    moves : whether what is at a pixel goes elsewhere, so that label maps, boxes and masks no longer fit
    reference : paper
    """

    run: Callable[..., Tensor]
    moves: bool
    reference: str


_PRIME = "Modas et al. 2022, arXiv:2112.13547"
PRIMITIVES = {
    "color": Primitive(color, False, _PRIME),
    "filter": Primitive(random_filter, False, _PRIME),
    "diffeomorphism": Primitive(diffeomorphism, True, "Petrini et al. 2021, arXiv:2105.02468"),
}
check_registry("recipe.augment.prime.primitives", PRIMITIVES)

_CACHED = 2**17  # values of images that a CPU changes at a time, which stay in its cache

# For dense tasks, unless `filter.off_centre` moves images by a pixel.
MASK_SAFE = tuple(name for name, primitive in PRIMITIVES.items() if not primitive.moves)


@torch.no_grad()
def prime(images: Tensor, draws: Draws, options: Prime) -> Tensor:
    """Images mixed with chains of primitives, section 3.3 and algorithm 1: (1 - m) x + m sum w_i chain_i(x).

    Per image, m ~ Beta(1, 1), w ~ Dirichlet(1, ..., 1), `width` chains of `depth` primitives, or of a random number up
    to it, each drawn with equal chance. A primitive runs on those images alone that draw it.

    Parameters
    ----------
    images : (n, 3, h, w) in [0, 1], of any size; normalisation comes after, in the model. That is the same as
        mixing normalised images, since weights add up to 1
    draws : random numbers of the images: an image changes in the same way in any batch and on any device
    options : the recipe's block `augment.prime`

    Returns
    -------
    Tensor
        (n, 3, h, w) in [0, 1].
    """
    scale = 255 if options["parity"] == "paper" else 1
    images = images.contiguous()
    weights, share = _shares(draws, options["width"])
    mixed = torch.zeros_like(images)
    for chain, links in enumerate(_links(draws, options)):
        mixed += weights[:, chain].view(-1, 1, 1, 1) * _chained(images * scale, links, chain, draws, options)
    return torch.lerp(images, mixed / scale, share.view(-1, 1, 1, 1)).clamp_(0, 1)


def _shares(draws: Draws, width: int) -> tuple[Tensor, Tensor]:
    """Weights of the chains (n, width), and of their mean (n,): Dirichlet and Beta distributions, all parameters 1."""
    uniform = draws.uniform((width,), "prime.weights").double() + 2**-25
    waits = -uniform.log()
    return (waits / waits.sum(1, keepdim=True)).float(), draws.uniform((), "prime.share")


def _links(draws: Draws, options: Prime) -> Tensor:
    """For each chain, image and step the position of a primitive, or -1 beyond the chain's end: (width, n, depth)."""
    width, depth = options["width"], options["depth"]
    kinds = draws.integers(len(options["primitives"]), (width, depth), "prime.kind")
    if options["random_depth"]:
        lengths = 1 + draws.integers(depth, (width, 1), "prime.depth")
        kinds = kinds.where(torch.arange(depth, device=kinds.device) < lengths, -1)
    return kinds.transpose(0, 1)


def _chained(images: Tensor, links: Tensor, chain: int, draws: Draws, options: Prime) -> Tensor:
    """Images after the primitives of one chain; `images` is changed."""
    for step in range(links.shape[1]):
        for kind, name in enumerate(options["primitives"]):
            for index in _pieces((links[:, step] == kind).nonzero()[:, 0], images[0]):
                changed = PRIMITIVES[name].run(images[index], draws.take(index), options[name], chain, step)
                images[index] = changed
    return images


def _pieces(index: Tensor, image: Tensor) -> Sequence[Tensor]:
    """Parts in which the images at these positions are changed."""
    if not len(index):
        return ()
    return (index,) if image.is_cuda else index.split(max(1, _CACHED // image.numel()))
