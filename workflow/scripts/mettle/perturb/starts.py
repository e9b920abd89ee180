"""Random starts of attacks: uniform in the unit ball, drawn per image so that batches and order do not matter."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mettle.flow import derive
from mettle.perturb.norms import norm as ball_of


def per_image(norm: str, like: Tensor, ids: Sequence[int], seed: int) -> Callable[[int], Tensor]:
    """Starts of an evaluation: each depends on (seed, image id, restart) alone, the same on every device."""

    def start(restart: int) -> Tensor:
        drawn = [_draw(like.shape[1:], derive(seed, "start", int(image), restart)) for image in ids]
        gaussian, uniform = (torch.stack(part) for part in zip(*drawn, strict=True))
        return ball_of(norm).uniform(gaussian, uniform).to(like.device)

    return start


def per_batch(norm: str, like: Tensor, seed: int) -> Callable[[int], Tensor]:
    """Starts of one training step, from one seed."""

    def start(restart: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive(seed, restart))
        gaussian = torch.randn(like.shape, generator=generator)
        uniform = torch.rand(len(like), generator=generator)
        return ball_of(norm).uniform(gaussian, uniform).to(like.device)

    return start


def _draw(shape: torch.Size, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.rand((), generator=generator)
