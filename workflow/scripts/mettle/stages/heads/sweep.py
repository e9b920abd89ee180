"""Many linear heads that learn side by side from the same features."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models.linear import joined


@dataclass(frozen=True)
class Setting:
    """What distinguishes a head: what it sees, as in `joined`, and its learning rate at the start."""

    blocks: int
    average: bool
    lr: float

    @property
    def name(self) -> str:
        """As in the files of DINOv2's authors, but with all digits of the learning rate."""
        return f"classifier_{self.blocks}_blocks_avgpool_{self.average}_lr_{self.lr:g}".replace(".", "_")


class Heads(nn.Module):
    """A head for each combination of blocks, average and learning rate.

    Those that see the same are one parameter, so that a step is as many multiplications as there are views of the
    features, not heads. Each has a learning rate of its own without an optimiser of its own: with plain momentum,
    a gradient times a rate moves weights as a learning rate times that rate does, so `loss` weighs each head's loss.

    Parameters
    ----------
    blocks, average, rates : lists of the recipe
    width : of the network's tokens
    classes : number of classes
    seed : of the weights, N(0, 0.01); biases are 0
    """

    def __init__(
        self,
        blocks: Sequence[int],
        average: Sequence[bool],
        rates: Sequence[float],
        width: int,
        classes: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.views = list(itertools.product(blocks, average))
        self.register_buffer("rates", torch.tensor(rates, dtype=torch.float32))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        generator = torch.Generator().manual_seed(seed)
        for number, mean in self.views:
            shape = (len(rates), classes, width * (number + mean))
            self.weights.append(0.01 * torch.randn(shape, generator=generator))
            self.biases.append(torch.zeros(shape[:2]))
        self.settings = [Setting(*view, lr) for view in self.views for lr in rates]

    def forward(self, tokens: Tensor, mean: Tensor) -> Tensor:
        """Logits (heads, n, classes) in the order of `settings`, of what `last_blocks` gives."""
        found = []
        for (blocks, average), weight, bias in zip(self.views, self.weights, self.biases, strict=True):
            seen = joined(tokens, mean, blocks, average=average)
            found.append((seen @ weight.flatten(0, 1).T).unflatten(1, bias.shape).transpose(0, 1) + bias[:, None])
        return torch.cat(found)

    def losses(self, tokens: Tensor, mean: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each head (heads,) on a batch."""
        logits = self(tokens, mean)
        flat = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none")
        return flat.unflatten(0, logits.shape[:2]).mean(1)

    def loss(self, losses: Tensor) -> Tensor:
        """What to minimise with SGD of momentum, no weight decay and learning rate 1."""
        return (losses * self.rates.repeat(len(self.views))).sum()

    def head(self, index: int) -> tuple[Tensor, Tensor]:
        """Weight (classes, d) and bias (classes,) of a head, by its place in `settings`."""
        view, rate = divmod(index, len(self.rates))
        return self.weights[view][rate].detach(), self.biases[view][rate].detach()
