"""
Random numbers of attacks and augmentation: a function of (seed, image id, purpose, counter), so batches and order do
not matter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mettle.seeds import derive

_STEP = -0x61C8864680B583EB  # 2^64 over the golden ratio, as a signed integer
_FACTORS = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)


class Draws:
    """Random numbers for a batch of images, the same on every device and for any split into batches.

    Every number is a hash of the seed, the image's id, a purpose, counters and a position (the mixer of splitmix64,
    Steele et al. 2014, doi:10.1145/2714064.2660195): there is no state, so an image that leaves a batch
    changes nothing for the others.

    Parameters
    ----------
    seed : seed of the run
    ids : one id per image
    device : of the numbers
    """

    def __init__(self, seed: int, ids: Sequence[int] | Tensor, device: torch.device | str = "cpu") -> None:
        self.seed = seed
        self.ids = torch.as_tensor(ids, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> "Draws":
        """The draws of some of the images: positions or a mask."""
        return Draws(self.seed, self.ids[index], self.ids.device)

    def uniform(self, shape: Sequence[int], purpose: str, *counters: int) -> Tensor:
        """Uniform in [0, 1): float32 (n, *shape)."""
        return (self._bits(shape, purpose, counters) >> 40).bitwise_and(0xFFFFFF).float() / 2**24

    def normal(self, shape: Sequence[int], purpose: str, *counters: int) -> Tensor:
        """Standard normal: float32 (n, *shape)."""
        uniform = ((self._bits(shape, purpose, counters) >> 11).bitwise_and(2**53 - 1).double() + 0.5) / 2**53
        return torch.special.ndtri(uniform).float()

    def integers(self, high: int, shape: Sequence[int], purpose: str, *counters: int) -> Tensor:
        """Uniform in 0..high-1: int64 (n, *shape)."""
        return (self.uniform(shape, purpose, *counters).double() * high).long()

    def _bits(self, shape: Sequence[int], purpose: str, counters: Sequence[int]) -> Tensor:
        key = _mix(self.ids * _STEP + _signed(derive(self.seed, purpose, *counters)))
        size = torch.Size(shape).numel()
        position = torch.arange(1, size + 1, dtype=torch.int64, device=self.ids.device)
        return _mix(key[:, None] + position * _STEP).view(len(self.ids), *shape)


def _mix(value: Tensor) -> Tensor:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        value = (value ^ _shift(value, shift)) * factor
    return value ^ _shift(value, 31)


def _shift(value: Tensor, by: int) -> Tensor:
    """Logical shift to the right; torch's is arithmetic."""
    return (value >> by) & ((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value
