"""Classifiers on the features of a frozen vision transformer: a linear layer, or the nearest of known images."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import features
from mettle.models.classifier import Classifier

# Metadata from which the head is made, besides those of the network.
ABOUT = ("method", "blocks", "average", "neighbours", "temperature")
_LEAST = 1e-12  # share of the votes, below which a class has no logarithm


class LinearClassifier(Classifier):
    """A linear layer on class and patch tokens.

    Parameters
    ----------
    network : vision transformer of timm, with or without a head, which is not run
    about : metadata: classes, size, mean, std; `blocks` and `average` as in `joined`
    """

    def __init__(self, network: nn.Module, about: dict[str, Any]) -> None:
        super().__init__(network, about["mean"], about["std"], about["size"])
        self.blocks, self.average = about["blocks"], about["average"]
        self.head = nn.Linear(width(network, self.blocks, average=self.average), about["classes"])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, 3, h, w) in [0, 1]."""
        return self.head(joined(*last_blocks(self, images, self.blocks), self.blocks, average=self.average))

    @property
    def heads(self) -> list[nn.Module]:
        """The linear layer."""
        return [self.head]

    @property
    def classifiers(self) -> list[nn.Module]:
        """The same."""
        return [self.head]


class NearestNeighbours(nn.Module):
    """Classes of the training images whose features are nearest.

    A class's share of the votes is the sum of exp(cosine / temperature) over those of the k nearest images that have
    it, divided by the sum over all k; the logit is its logarithm. Gradients reach the images through the cosines.

    Parameters
    ----------
    network : vision transformer of timm
    about : metadata: classes, size, mean, std; `blocks` and `average` as in `joined`; `neighbours`, `temperature`
    n : number of training images

    Notes
    -----
    Wu et al. 2018 (arXiv:1805.01978), with the settings of Caron et al. 2021 (arXiv:2104.14294) for DINO.
    """

    mean: Tensor
    std: Tensor
    known: Tensor
    labels: Tensor

    def __init__(self, network: nn.Module, about: dict[str, Any], n: int) -> None:
        super().__init__()
        self.network, self.size, self.about = network, about["size"], about
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(about[key], dtype=torch.float32).view(1, 3, 1, 1))
        d = width(network, about["blocks"], average=about["average"])
        self.register_buffer("known", torch.zeros(n, d))
        self.register_buffer("labels", torch.zeros(n, dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, 3, h, w) in [0, 1]."""
        blocks, average = self.about["blocks"], self.about["average"]
        found = joined(*last_blocks(self, images, blocks), blocks, average=average)
        nearest, index = (F.normalize(found.to(self.known.dtype)) @ self.known.T).topk(self.about["neighbours"])
        votes = (nearest / self.about["temperature"]).softmax(1)
        shares = votes.new_zeros(len(votes), self.about["classes"]).scatter_add(1, self.labels[index], votes)
        return shares.clamp(min=_LEAST).log()


def create(about: dict[str, Any], network: nn.Module, state: dict[str, Tensor] | None = None) -> nn.Module:
    """A classifier with a head on a network, with the head's weights still to be filled in.

    Parameters
    ----------
    about : metadata
    network : vision transformer of timm
    state : of the file, for the number of images that nearest neighbours are among
    """
    if about["method"] == "knn":
        return NearestNeighbours(network, about, len(state["labels"]))
    return LinearClassifier(network, about)


def last_blocks(model: nn.Module, images: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """What heads are made for: class tokens (n, blocks, d) and the mean of the last patch tokens (n, d).

    Parameters
    ----------
    model : with normalisation inside, on a vision transformer of timm
    images : (n, 3, h, w) in [0, 1]
    blocks : how many of the last blocks, whose tokens pass through the network's final normalisation
    """
    normalised = (images - model.mean) / model.std
    found = features.intermediate(model.network, normalised, range(-blocks, 0), norm=True)
    return torch.stack([token for token, _ in found], dim=1), found[-1][1].mean((2, 3))


def joined(tokens: Tensor, mean: Tensor, blocks: int, *, average: bool) -> Tensor:
    """What one head sees (n, d): class tokens of the last blocks and, beside them, the mean of the patch tokens.

    Parameters
    ----------
    tokens, mean : as `last_blocks` gives them, of so many blocks or more
    blocks : how many of them
    average : whether the mean stands beside them
    """
    found = tokens[:, -blocks:].flatten(1)
    return torch.cat([found, mean], dim=1) if average else found


def width(network: nn.Module, blocks: int, *, average: bool) -> int:
    """Width of what a head sees.

    Raises
    ------
    ValueError
        If the network is no vision transformer of timm, has no class token, or fewer blocks.
    """
    features.check(network)
    name = type(network).__name__
    if network.cls_token is None:
        raise ValueError(f"{name} has no class token, which heads of classification are for")
    if blocks > (depth := len(network.blocks)):
        raise ValueError(f"{name} has {depth} blocks, but the recipe's `blocks` asks for {blocks}: lower it")
    return network.embed_dim * (blocks + average)
