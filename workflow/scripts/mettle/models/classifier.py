"""The one interface to every network: images in [0, 1] to logits and to the true penultimate vector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mettle.models.architectures import build


class Classifier(nn.Module):
    """A network with its normalisation inside.

    Parameters
    ----------
    network : module that maps normalised images to logits and ends in a linear layer (or 1x1 convolution)
    mean, std : per channel, in pixel range [0, 1]

    Notes
    -----
    The penultimate vector is what enters the last linear layer, read there: `last(features) == logits` for every
    architecture, whatever pooling, normalisation or token mixing it does before.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, 3, h, w) in [0, 1]."""
        return self.network((images - self.mean) / self.std)

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and penultimate features (n, d) of images (n, 3, h, w) in [0, 1], in one pass."""
        seen: list[Tensor] = []
        handle = self.last.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        try:
            logits = self(images)
        finally:
            handle.remove()
        if len(seen) != 1:
            raise ValueError(
                f"the last layer of {type(self.network).__name__} ran {len(seen)} times in one pass, not once"
            )
        return logits, seen[0].flatten(1)

    @property
    def last(self) -> nn.Module:
        """The last linear layer."""
        if hasattr(self.network, "get_classifier"):
            found = self.network.get_classifier()
            found = getattr(found, "fc", found)
        else:
            found = [m for m in self.network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        if not isinstance(found, nn.Linear | nn.Conv2d):
            raise ValueError(
                f"{type(self.network).__name__} does not end in one linear layer but in {type(found).__name__}"
            )
        return found


def create(arch: str, classes: int, size: int, mean: Sequence[float], std: Sequence[float], seed: int) -> Classifier:
    """A classifier with random weights that depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(build(arch, classes, size), mean, std)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters inside the block; modes and flags are restored after it."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
