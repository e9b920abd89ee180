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
    architecture, whatever pooling, normalisation or token mixing it does before. A network that averages the logits of
    two heads, such as a distilled DeiT (Touvron et al. 2021, arXiv:2012.12877), has the inputs of both one after the
    other as its penultimate vector, for which the average is one linear layer again.
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
        heads = self.heads
        seen: list[list[Tensor]] = [[] for _ in heads]
        handles = [
            head.register_forward_pre_hook(lambda module, args, inputs=inputs: inputs.append(args[0]))
            for head, inputs in zip(heads, seen, strict=True)
        ]
        try:
            logits = self(images)
        finally:
            for handle in handles:
                handle.remove()
        for inputs in seen:
            if len(inputs) != 1:
                raise ValueError(
                    f"the last layer of {type(self.network).__name__} ran {len(inputs)} times in one pass, not once"
                )
        return logits, torch.cat([inputs[0].flatten(1) for inputs in seen], dim=1)

    @property
    def last(self) -> nn.Module:
        """The last linear layer; of several heads, the layer from all their inputs to the mean of their logits."""
        heads = self.heads
        if len(heads) == 1:
            return heads[0]
        weight = torch.cat([head.weight for head in heads], dim=1) / len(heads)
        last = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
        last.weight = nn.Parameter(weight.detach())
        last.bias = nn.Parameter(torch.stack([head.bias for head in heads]).mean(0).detach())
        return last

    @property
    def heads(self) -> list[nn.Module]:
        """The linear layers that give logits: one, or the two of a distilled transformer."""
        return [self._linear(found) for found in self.classifiers]

    @property
    def classifiers(self) -> list[nn.Module]:
        """What the network calls its classifiers: each the last linear layer, or a module that holds it."""
        if not hasattr(self.network, "get_classifier"):
            return [m for m in self.network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1:]
        found = self.network.get_classifier()
        return list(found) if isinstance(found, tuple) else [found]

    def _linear(self, classifier: nn.Module) -> nn.Module:
        """The last linear layer of a classifier."""
        layers = [m for m in classifier.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        found = layers[0] if len(layers) == 1 else getattr(classifier, "fc", classifier)
        if not isinstance(found, nn.Linear | nn.Conv2d):
            raise ValueError(
                f"{type(self.network).__name__} does not end in one linear layer but in {type(found).__name__}"
            )
        return found


def create(
    arch: str,
    classes: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    drop_path: float = 0.0,
) -> Classifier:
    """A classifier with random weights that depend on the seed alone; `drop_path` is that of `build`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(build(arch, classes, size, drop_path), mean, std)


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
