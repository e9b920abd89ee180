"""Exponential moving average of weights, Polyak & Juditsky 1992 (doi:10.1137/0330046)."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """A copy of a model whose weights follow those of the model slowly.

    Parameters
    ----------
    model : model whose state, BatchNorm statistics included, is averaged
    decay : weight of the old average in an update
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One step towards the model; integers, such as counts of batches, are copied."""
        state = model.state_dict()
        for key, value in self.model.state_dict().items():
            own, new = _mine(value), _mine(state[key])
            if own.is_floating_point():
                own.lerp_(new, 1 - self.decay)
            else:
                own.copy_(new)


def _mine(value: Tensor) -> Tensor:
    """This process's part of a tensor: of one in shards, its own."""
    return value.to_local() if hasattr(value, "to_local") else value
