"""Which layers give a network's logits, found by going back from the logits of one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LINEAR = nn.Linear | nn.Conv2d


def find(network: nn.Module, images: Tensor) -> list[str]:
    """Names of the linear layers and convolutions that come last before the logits, in the order of registration.

    More than one where their outputs are joined: in the mean of two heads, for example. Layers may be registered in any
    order, run in any order, or not run at all; what comes behind the last one is not looked at.

    Parameters
    ----------
    network : in evaluation mode
    images : (n, 3, h, w) as the network takes them

    Raises
    ------
    ValueError
        If the network does not run on such images.
    """
    names = {module: name for name, module in network.named_modules() if isinstance(module, LINEAR)}
    made: dict[Any, str] = {}  # by node of the graph of gradients
    with torch.inference_mode(False), torch.enable_grad(), _watched(names, made):
        logits = _run(network, images.clone().requires_grad_(True))
    last = set(_nearest(logits, made))
    return [name for name in names.values() if name in last]


@contextmanager
def _watched(names: dict[nn.Module, str], made: dict[Any, str]) -> Iterator[None]:
    """Inside the block, what a layer puts out is noted under its name."""

    def note(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if output.grad_fn is None:  # the network lets no gradient through to here
            output = output.detach().requires_grad_(True).view_as(output)
        made[output.grad_fn] = names[module]
        return output

    handles = [module.register_forward_hook(note) for module in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(network: nn.Module, images: Tensor) -> Tensor:
    name = type(network).__name__
    try:
        logits = network(images)
    except Exception as error:  # of any kind: the network may be anybody's
        size = " x ".join(map(str, images.shape[2:]))
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ValueError(f"{name} does not run on 3 x {size} images (`size` of its recipe or row): {reason}") from error
    if not isinstance(logits, Tensor):
        raise ValueError(f"{name} gives a {type(logits).__name__}: let its forward return the logits, one tensor")
    return logits


def _nearest(logits: Tensor, made: dict[Any, str]) -> Iterator[str]:
    """Layers that are met first on every way back from the logits."""
    seen, left = set(), [logits.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in made:
            yield made[node]
        else:
            left += [before for before, _ in node.next_functions]
