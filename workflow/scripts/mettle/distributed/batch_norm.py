"""BatchNorm over the images of all processes, on any device: torch.nn.SyncBatchNorm is for GPUs only."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from mettle.distributed.group import ProcessGroup


class GlobalBatchNorm(TorchFunctionMode):
    """Context in which BatchNorm in training mode takes mean and variance over the images of all processes."""

    def __init__(self, group: "ProcessGroup") -> None:
        super().__init__()
        self.group = group

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function is F.batch_norm and kwargs["training"]:
            return _normalise(self.group, *args, **kwargs)
        return function(*args, **kwargs)


def _normalise(
    group: "ProcessGroup",
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    dims, shape = [0, *range(2, images.dim())], [1, -1, *[1] * (images.dim() - 2)]
    values = images.float()
    (count,) = group.sums(values.numel() / values.shape[1])
    mean = _Sum.apply(values.sum(dims), group) / count
    centred = values - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(dims), group) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    normal = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        normal = normal * weight.view(shape) + bias.view(shape)
    return normal.to(images.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the processes, of values forward and of gradients backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: "ProcessGroup") -> Tensor:
        ctx.group = group
        return group.sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.group.sum(gradient.contiguous()), None
