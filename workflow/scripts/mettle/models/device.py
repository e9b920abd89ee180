"""The device policy, the same for every stage: where a model runs, in which number format, in which memory layout."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mettle.models.classifier import Classifier, frozen


@dataclass(frozen=True)
class Policy:
    """Device, number format and memory layout of a job.

    Attributes
    ----------
    device : `cuda` where there is one, else `cpu`
    precision : `fp32`, or `bf16` for autocast with fp32 weights
    layout : channels last, which is faster, unless a model cannot run in it
    """

    device: torch.device
    precision: str = "fp32"
    layout: torch.memory_format = torch.channels_last

    def autocast(self) -> AbstractContextManager:
        """Context in which the network runs in the policy's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def suited(self, model: Classifier) -> "Policy":
        """The policy in the layout that a model runs in, forth and back: one that flattens by `view` needs contiguous.

        Parameters
        ----------
        model : the classifier; is on the device afterwards
        """
        model = self.place(model)
        image = self.move(torch.zeros(1, 3, model.size, model.size)).requires_grad_(True)
        try:
            with frozen(model), torch.enable_grad(), self.autocast():
                torch.autograd.grad(model(image).sum(), image)
        except RuntimeError:  # "view size is not compatible with input tensor's size and stride"
            return replace(self, layout=torch.contiguous_format)
        return self

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the layout."""
        return model.to(self.device, memory_format=self.layout)

    def move(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) on the device, in the layout."""
        return images.to(self.device, memory_format=self.layout, non_blocking=True)


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
