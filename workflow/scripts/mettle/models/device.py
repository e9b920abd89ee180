"""The device policy of all stages: the device, number format and memory layout in which a model runs."""

import os
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
        """The policy in a layout in which a model runs both passes: one that flattens by `view` needs contiguous.

        Parameters
        ----------
        model : the classifier; is on the device afterwards
        """
        model = self.place(model)
        image = self.move(torch.zeros(1, 3, *model.size)).requires_grad_(True)
        try:
            with frozen(model), torch.enable_grad(), self.autocast():
                torch.autograd.grad(model(image).sum(), image)
        except RuntimeError:  # "view size is not compatible with input tensor's size and stride"
            return replace(self, layout=torch.contiguous_format)
        return self

    def sentence(self, n: int, batch: int) -> str:
        """For a job's log: where and how it computes on this many images, `batch` of them at a time."""
        cuda = self.device.type == "cuda"
        where = torch.cuda.get_device_name(self.device) if cuda else self.device.type.upper()
        return (
            f"computes on {where} in {self.precision}: {n} images in batches of {batch}, "
            f"{torch.get_num_threads()} threads"
        )

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the layout."""
        return model.to(self.device, memory_format=self.layout)

    def move(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) on the device, in the layout; views of them (n, views, 3, h, w) in the usual one."""
        layout = self.layout if images.ndim == 4 else torch.preserve_format
        return images.to(self.device, memory_format=layout, non_blocking=True)


def policy(threads: int, precision: str = "fp32", needs_cuda: bool = False) -> Policy:
    """The policy of this process; sets the number of CPU threads and exact, repeatable kernels.

    TF32 is off: it would move results by 1e-3 between kinds of GPU.

    Parameters
    ----------
    threads : CPU threads
    precision : `fp32` or `bf16`
    needs_cuda : whether the CPU is not allowed, see `flow.Job`

    Raises
    ------
    RuntimeError
        If CUDA is needed and there is none.
    """
    found = torch.cuda.is_available()
    if needs_cuda and not found:
        raise RuntimeError(
            f"this job was given a GPU, but PyTorch {torch.__version__} (for CUDA {torch.version.cuda or 'none'}) "
            f"finds none on {os.uname().nodename}: see what `nvidia-smi` says there, or set `without_cuda: cpu` "
            "for its rule in the profile"
        )
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return Policy(torch.device("cuda" if found else "cpu"), precision)
