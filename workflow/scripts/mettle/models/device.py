"""The device policy, the same for every stage: where a model runs, in which number format, in which memory layout."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Policy:
    """Device and number format of a job.

    Attributes
    ----------
    device : `cuda` where there is one, else `cpu`
    precision : `fp32`, or `bf16` for autocast with fp32 weights
    """

    device: torch.device
    precision: str = "fp32"

    def autocast(self) -> AbstractContextManager:
        """Context in which the network runs in the policy's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, channels last."""
        return model.to(self.device, memory_format=torch.channels_last)

    def move(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) on the device, channels last."""
        return images.to(self.device, memory_format=torch.channels_last, non_blocking=True)


def policy(threads: int, precision: str = "fp32") -> Policy:
    """The policy of this process; sets the number of CPU threads and exact, repeatable kernels.

    TF32 is off: it would move results by 1e-3 between kinds of GPU.
    """
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return Policy(torch.device("cuda" if torch.cuda.is_available() else "cpu"), precision)
