"""
Robustness tokens: extra tokens, the same for every image, that a frozen vision transformer sees beside its own.

Pulfer, Belousov & Voloshynovskiy 2024 (arXiv:2503.10191).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mettle.models import features


def attach(network: nn.Module, values: Tensor, position: str = "end") -> nn.Parameter:
    """Let every block of a vision transformer see tokens; what comes out of it has none.

    They enter before the first block, after position embeddings and after the normalisation that CLIP has there, and
    get no position embedding. Nothing but the blocks sees them, so pooling, heads and `forward_intermediates` of timm
    work as before.

    Parameters
    ----------
    network : a vision transformer of timm
    values : tokens (1, n, width)
    position : `end`, after all others, or `registers`, behind the class token and registers

    Returns
    -------
    nn.Parameter
        The tokens, `network.robustness.tokens`.

    Raises
    ------
    ValueError
        If the network is no vision transformer, has tokens already, or is of another width.
    """
    features.check(network)
    if hasattr(network, "robustness"):
        raise ValueError("the network has robustness tokens already: name as base the row that has none")
    name, width = type(network).__name__, width_of(network)
    if values.shape[-1] != width:
        raise ValueError(f"tokens of width {values.shape[-1]} do not fit {name} of width {width}")
    if position == "end" and any(_rotated(block) for block in network.blocks):
        raise ValueError(
            f"{name} rotates all tokens but the first by their position in the image: set position to registers, so "
            "that robustness tokens are among the first"
        )
    network.robustness = Tokens(values, network.num_prefix_tokens if position == "registers" else None)
    network.robustness.watch(network.blocks)
    return network.robustness.tokens


def width_of(network: nn.Module) -> int:
    """Width of the tokens that a vision transformer of timm takes; ValueError for any other network."""
    features.check(network)
    return network.embed_dim


@contextmanager
def without(network: nn.Module) -> Iterator[None]:
    """The network without its robustness tokens inside the block."""
    network.robustness.switch(on=False)
    try:
        yield
    finally:
        network.robustness.switch(on=True)


class Tokens(nn.Module):
    """Tokens on their way through the blocks of a network: hooks of the blocks add them and take them out again.

    Parameters
    ----------
    values : (1, n, width)
    at : place in the sequence; None for its end
    """

    def __init__(self, values: Tensor, at: int | None) -> None:
        super().__init__()
        self.tokens, self.at, self.on = nn.Parameter(values.clone()), at, True
        self._blocks: list[nn.Module] = []
        self._now: Tensor | None = None

    @property
    def n(self) -> int:
        """Number of tokens."""
        return self.tokens.shape[1]

    def watch(self, blocks: Sequence[nn.Module]) -> None:
        """Hook into the blocks."""
        self._blocks = [block for block in blocks if _rotated(block)]
        for number, block in enumerate(blocks):
            block.register_forward_pre_hook(self._add if number else self._begin)
            block.register_forward_hook(self._take)
        self._count(self.n)

    def switch(self, *, on: bool) -> None:
        """Let the blocks see the tokens, or not."""
        if on != self.on:
            self._count(self.n if on else -self.n)
        self.on = on

    def _count(self, more: int) -> None:
        """Rotary position embeddings leave out the first tokens, whose number each attention knows."""
        for block in self._blocks:
            block.attn.num_prefix_tokens += more

    def _begin(self, block: nn.Module, args: tuple) -> tuple:
        self._now = self.tokens.expand(len(args[0]), -1, -1)
        return self._add(block, args)

    def _add(self, block: nn.Module, args: tuple) -> tuple:
        if not self.on or not self.n:
            return args
        x, *others = args
        at = x.shape[1] if self.at is None else self.at
        return torch.cat([x[:, :at], self._now.to(x.dtype), x[:, at:]], dim=1), *others

    def _take(self, block: nn.Module, args: tuple, x: Tensor) -> Tensor:
        if not self.on or not self.n:
            return x
        at = x.shape[1] - self.n if self.at is None else self.at
        self._now = x[:, at : at + self.n]
        return torch.cat([x[:, :at], x[:, at + self.n :]], dim=1)


def _rotated(block: nn.Module) -> bool:
    """Whether a block has rotary position embeddings."""
    return hasattr(getattr(block, "attn", None), "num_prefix_tokens")
