"""The common interface to all networks: images in [0, 1] to logits and to the penultimate vector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.architectures import build, build_any_size
from mettle.models.heads import find
from mettle.models.own import Digests
from mettle.units import sides

Size = int | Sequence[int]  # side of a square in pixels, or [height, width]


class Classifier(nn.Module):
    """A network with its normalisation inside.

    Parameters
    ----------
    network : module that maps normalised images to logits and ends in a linear layer (or 1x1 convolution)
    mean, std : per channel, in pixel range [0, 1]
    size : side of the images in pixels, or [height, width]

    Notes
    -----
    The penultimate vector is what enters the last linear layer, read there: `last(features) == logits` for every
    architecture, whatever pooling, normalisation or token mixing it does before. Which layer that is, is found by
    running the network (see `heads.find`). A network that averages the logits of several heads, such as a distilled
    DeiT (Touvron et al. 2021, arXiv:2012.12877), has the inputs of all, one after the other, as its penultimate vector,
    for which the average is one linear layer again.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float], size: Size) -> None:
        super().__init__()
        self.network, self.size = network, sides(size)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))
        self._heads: list[str] = []

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

    def check(self, where: str | Path, classes: int) -> None:
        """Raise ValueError unless `last(features) == logits`, on two images of noise, to 1e-4 of the largest logit.

        Parameters
        ----------
        where : file or architecture, for the message
        classes : number of logits that there have to be
        """
        try:
            self._check(classes)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    @torch.no_grad()
    def _check(self, classes: int) -> None:
        noise = torch.rand(2, 3, *self.size, generator=torch.Generator().manual_seed(0))
        with frozen(self):
            logits, features = self.both(noise.to(self.mean.device))
        if logits.shape != (2, classes):
            raise ValueError(
                f"{type(self.network).__name__} gives {_shape(logits)} per image, not {classes} logits: let its "
                "forward return one logit per class of the data set"
            )
        weight, bias = self._joined()
        if features.shape[1] == weight.shape[1]:
            found = F.linear(features, weight, bias)
            limit = 1e-4 * float(logits.nan_to_num().abs().max())
            if found.shape == logits.shape and torch.allclose(found, logits, rtol=0, atol=limit, equal_nan=True):
                return
        net, layer = type(self.network).__name__, ", ".join(self._heads)
        raise ValueError(
            f"the logits of {net} are not what its last linear layer ({layer}) makes of its input, "
            f"the penultimate vector: {_REMEDY}"
        )

    @property
    def last(self) -> nn.Module:
        """The last linear layer; of several heads, the layer from all their inputs to the mean of their logits."""
        heads = self.heads
        if len(heads) == 1:
            return heads[0]
        weight, bias = self._joined()
        last = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
        last.weight, last.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        return last

    @property
    def heads(self) -> list[nn.Module]:
        """The linear layers that give logits: one, or several whose mean they are; found in the first pass.

        Raises
        ------
        ValueError
            If there is none, or the network does not run on images of its size.
        """
        if not self._heads:
            with frozen(self):
                self._heads = find(self.network, self.mean.new_zeros(1, 3, *self.size))
        if not self._heads:
            raise ValueError(f"no linear layer gives the logits of {type(self.network).__name__}: {_REMEDY}")
        return [self.network.get_submodule(name) for name in self._heads]

    @property
    def classifiers(self) -> list[nn.Module]:
        """Names of the network's classifiers: each the last linear layer, or a module that contains it."""
        if not hasattr(self.network, "get_classifier"):
            return self.heads
        found = self.network.get_classifier()
        return list(found) if isinstance(found, tuple) else [found]

    def _joined(self) -> tuple[Tensor, Tensor]:
        """Weight (classes, d) and bias (classes,) of the mean of all heads, as one layer of all their inputs."""
        heads = self.heads
        weight = torch.cat([head.weight.flatten(1) for head in heads], dim=1) / len(heads)
        none = weight.new_zeros(len(weight))
        return weight, torch.stack([none if head.bias is None else head.bias for head in heads]).mean(0)


def _shape(outputs: Tensor) -> str:
    """Values per image, in words."""
    return " x ".join(map(str, outputs.shape[1:])) + " values"


_REMEDY = "let its forward end in one nn.Linear, or in a 1x1 nn.Conv2d"


def create(
    arch: str,
    classes: int,
    size: Size,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    drop_path: float = 0.0,
    code: Digests | None = None,
    *,
    any_size: bool = False,
) -> Classifier:
    """A classifier with random weights that depend only on the seed; for the others see `build` and `Classifier`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bound = size if isinstance(size, int) else tuple(size)
        made = (build_any_size if any_size else build)(arch, classes, bound, drop_path, code)
        return Classifier(made, mean, std, size)


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
