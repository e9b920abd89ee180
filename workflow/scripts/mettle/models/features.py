"""Features of a Vision Transformer: the class token and the patch tokens after the final normalisation."""

import torch
from torch import Tensor, nn

from mettle.models.tokens import blocks_of


def tokens(network: nn.Module, images: Tensor) -> Tensor:
    """Class token and patch tokens (n, 1 + patches, d) of normalised images; registers are left out.

    A network without class token gives its patch tokens only.
    """
    blocks_of(network)
    found = network.forward_features(images)
    classes = int(getattr(network, "cls_token", None) is not None)
    return torch.cat([found[:, :classes], found[:, network.num_prefix_tokens :]], dim=1)


class Features(nn.Module):
    """A model that gives features in place of logits.

    Parameters
    ----------
    model : a classifier, with normalisation inside, on a Vision Transformer of timm
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Class token and patch tokens (n, 1 + patches, d) of images (n, 3, h, w) in [0, 1]."""
        return tokens(self.model.network, (images - self.model.mean) / self.model.std)
