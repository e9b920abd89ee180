"""A model as an attack sees it: passes in the policy's precision, success decided in fp32."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mettle.models import Policy, exact
from mettle.perturb.goal import Goal, Objective


def ascent(
    model: nn.Module, images: Tensor, index: Tensor, objective: Objective, policy: Policy
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, objective and its gradient with respect to the images, all as float32, in one pass and its backward."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        with policy.autocast():
            logits = model(images).float()
        value = objective(logits, index)
        (gradient,) = torch.autograd.grad(value.sum(), images)
    return logits.detach(), value.detach(), gradient


class Oracle:
    """A frozen model with the passes that an attack needs; use it inside `models.frozen(model)`.

    Parameters
    ----------
    model : maps images (n, 3, h, w) in [0, 1] to logits
    goal : of the attack on a batch of n images
    n : number of images
    policy : device and precision of the passes
    ids : names of the images in messages; without it, their positions in the batch

    Attributes
    ----------
    queries : (n,) forward passes spent on each image of the batch
    """

    def __init__(
        self,
        model: nn.Module,
        goal: Goal,
        n: int,
        policy: Policy,
        ids: Sequence[int] | Tensor | None = None,
    ) -> None:
        self.model, self.goal, self.policy = model, goal, policy
        self.ids = range(n) if ids is None else ids
        self.exact = exact(model)
        self.rough = policy.precision != "fp32" or self.exact is not model
        self.queries = torch.zeros(n, dtype=torch.int64, device=policy.device)

    @torch.no_grad()
    def logits(self, images: Tensor, index: Tensor) -> Tensor:
        """Logits, as float32, of images for the positions `index` of the batch."""
        self.queries[index] += 1
        with self.policy.autocast():
            logits = self.model(images).float()
        self._check(logits, "logits", index)
        return logits

    def gradient(self, images: Tensor, index: Tensor, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, objective (m,) and its gradient with respect to the images, all as float32."""
        self.queries[index] += 1
        logits, value, gradient = ascent(self.model, images, index, objective, self.policy)
        self._check(logits, "logits", index)
        self._check(gradient, "gradients", index)
        return logits, value, gradient

    @torch.no_grad()
    def fooled(self, images: Tensor, logits: Tensor, index: Tensor) -> Tensor:
        """Mask (m,) of images on which the attack succeeds, as fp32 passes of the exact model say.

        If the logits come from another precision or a folded copy, images that succeed by them are evaluated again.
        """
        if self.goal.success is None:
            return torch.zeros_like(index, dtype=torch.bool)
        wrong = self.goal.success(logits, index)
        if self.rough and wrong.any():
            doubted = index[wrong]
            self.queries[doubted] += 1
            with torch.autocast(images.device.type, enabled=False):
                wrong[wrong.clone()] = self.goal.success(self.exact(images[wrong]), doubted)
        return wrong

    def _check(self, values: Tensor, name: str, index: Tensor) -> None:
        """A NaN would count as no success, so an attack that does not work would look like a robust model."""
        if values.sum().isfinite():
            return
        bad = index[~values.flatten(1).isfinite().all(1)].tolist()
        if bad:  # a sum can also overflow
            raise ValueError(f"the model's {name} of {named(self.ids, bad)} hold NaN or infinite values")


def named(ids: Sequence[int] | Tensor, positions: Sequence[int]) -> str:
    """`image 3`, or `images 3, 8, 9, 12, 20 and 7 more`, for messages."""
    shown = ", ".join(str(int(ids[position])) for position in positions[:5])
    more = f" and {len(positions) - 5} more" if len(positions) > 5 else ""
    return f"image{'s' * (len(positions) > 1)} {shown}{more}"
