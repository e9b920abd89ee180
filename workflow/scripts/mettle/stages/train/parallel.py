"""
Several processes that train one model, by Lightning Fabric: a small interface to CPU (gloo) and CUDA (nccl).

Each process works on its share of every batch. Under the strategy `ddp` it has all weights, and gradients are added by
one sum after the backward passes; under `fsdp` it has a share of them (`mettle.stages.train.sharded`). There is no
wrapper around the model, since an attack runs it many times with other flags than the weight update.
"""

import dataclasses
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from mettle.models import Classifier, Policy
from mettle.typed import Recipe

ALONE = {"accelerator": "auto", "devices": None, "strategy": "ddp"}


class ProcessGroup:
    """The processes of a training, as seen from one of them; with a single process, sums are their inputs.

    Parameters
    ----------
    fabric : a launched `lightning_fabric.Fabric`; None for this process alone on the device of its policy
    strategy : `ddp`, or `fsdp` for weights in shards

    Attributes
    ----------
    rank, size : number of this process, from 0, and of all
    first : whether this one writes files and log
    sharded : whether weights are in shards, so that all processes must run the model equally often
    """

    def __init__(self, fabric: Any = None, strategy: str = "ddp") -> None:
        self.fabric, self.sharded = fabric, strategy == "fsdp"
        self.rank, self.size = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
        self.first = self.rank == 0

    def policy(self, policy: Policy) -> Policy:
        """The policy on the device of this process."""
        return policy if self.fabric is None else dataclasses.replace(policy, device=self.fabric.device)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes."""
        return values if self.size == 1 else self.fabric.all_reduce(values.clone(), reduce_op="sum")

    def sums(self, *values: float) -> list[float]:
        """Sums of numbers over the processes."""
        if self.size == 1:
            return list(values)
        return self.sum(torch.tensor(values, dtype=torch.float64, device=self.fabric.device)).tolist()

    def any(self, *flags: bool) -> list[bool]:
        """Whether a flag is set in any process."""
        return [found > 0 for found in self.sums(*map(float, flags))]

    def gather(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of all processes, stacked along a new first dimension."""
        return self.fabric.all_gather(values)

    def turns(self, work: Sequence[Any]) -> tuple[list[Any], int]:
        """This process's part of a list, and how much of it counts: shards need equally many turns of all processes."""
        mine = list(work[self.rank :: self.size])
        spare = -(-len(work) // self.size) - len(mine) if self.sharded else 0
        return mine + [work[0]] * spare, len(mine)

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """A copy of the model's state on the CPU; with shards in the first process only, though all must call it."""
        state = self.full(model.state_dict())
        return {key: value.detach().cpu().clone() for key, value in state.items() if value is not None}

    def full(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state as it would be without shards; with them, in the first process only, though all must call it."""
        if not self.sharded:
            return state
        from mettle.stages.train import sharded

        return sharded.full(state, self.first)

    def placed(self, model: Classifier, policy: Policy, say: Callable[[str], None]) -> Classifier:
        """The model on the device of this process, as a whole or in shards, which is logged."""
        if not self.sharded:
            return policy.place(model)
        from mettle.stages.train import sharded

        model = sharded.shard(model, policy.device)
        say(sharded.sentence(model))
        return model

    def check(self, recipe: Recipe, transfer: str = "full") -> None:
        """Raise ValueError for a recipe, or a way to use a base, that weights in shards do not support."""
        if self.sharded:
            from mettle.stages.train import sharded

            sharded.check(recipe, transfer)

    def load(self, target: nn.Module | Optimizer, state: dict[str, Any]) -> None:
        """Load a full state into a model or an optimiser, in shards or not."""
        if self.sharded:
            from mettle.stages.train import sharded

            state = sharded.spread(target, state)
        target.load_state_dict(state)

    def suited(self, model: Classifier, policy: Policy) -> Policy:
        """The policy in a memory layout for the model without shards; shards need weights in the usual layout."""
        if self.sharded:
            return dataclasses.replace(policy, layout=torch.contiguous_format)
        return policy.suited(model)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace gradients by their sums over the processes; gradients of shards are sums already."""
        if self.size == 1 or self.sharded:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def statistics(self, batch_norm: str) -> AbstractContextManager:
        """Context of a training pass, in which BatchNorm takes the statistics that the recipe's `batch_norm` names."""
        return GlobalBatchNorm(self) if self.size > 1 and batch_norm == "sync" else nullcontext()

    @torch.no_grad()
    def settle(self, model: nn.Module, batch_norm: str) -> None:
        """One set of running statistics for all, at the end of an epoch: those of the first process, or their mean."""
        if self.size == 1 or batch_norm == "sync":
            return
        share = 1 / self.size if batch_norm == "average" else float(self.first)
        for name, value in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.copy_(self.sum(value * share))


def launch(function: Callable[[ProcessGroup], None], options: dict[str, Any], gpus: int = 0) -> None:
    """Run a function in every process of a group; alone in this process if the options ask for no more.

    Parameters
    ----------
    function : called with the group
    options : `accelerator` and `devices` as Fabric takes them, no `devices` for as many as there are GPUs; `strategy`
    gpus : GPUs of the job; with one or none, and no other options, this process works alone

    Raises
    ------
    ValueError
        If weights are to be in shards and there is one process.
    RuntimeError
        With the message of the first process that failed.
    SystemExit
        If the processes were asked to end; this one passes the signal on to them.

    Notes
    -----
    Processes are forked: the script of a rule has no main guard, so it cannot be imported again by spawned ones. CUDA
    must not be in use before.
    """
    devices = options["devices"] or max(1, gpus)
    if options["strategy"] == "fsdp" and devices == 1:
        raise ValueError(
            "configuration: train.strategy is 'fsdp', but there is one process to shard weights over: give the rule "
            "`train` more GPUs or tasks, set train.devices, or set train.strategy to 'ddp'"
        )
    if (options["accelerator"], devices) == ("auto", 1):
        return function(ProcessGroup())
    fabric, previous = _fabric(options["accelerator"], devices), signal.getsignal(signal.SIGTERM)

    def work(launched: Any) -> Any:
        signal.signal(signal.SIGTERM, previous)
        try:
            function(ProcessGroup(launched, options["strategy"]))
        except SystemExit as end:
            return end.code
        return None

    with _told(), _passing_on():
        code = fabric.launch(work)
    if code is not None:
        raise SystemExit(code)


def _fabric(accelerator: str, devices: int) -> Any:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a greeting
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    # Under Slurm, Fabric would wait for processes that srun starts (mettle.stages.train.slurm); these are started here.
    strategy = "ddp_fork" if devices > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=devices, strategy=strategy, plugins=[LightningEnvironment()])


@contextmanager
def _told() -> Iterator[None]:
    """The failure of another process as an error whose message is that process's last line."""
    try:
        yield
    except torch.multiprocessing.ProcessRaisedException as error:
        raise RuntimeError(str(error).strip().splitlines()[-1]) from error


@contextmanager
def _passing_on() -> Iterator[None]:
    """Passes SIGTERM on to the processes of the group, which end by themselves."""

    def pass_on(signum: int, frame: Any) -> None:
        for child in multiprocessing.active_children():
            child.terminate()

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def portion(batch: np.ndarray, index: int, count: int) -> np.ndarray:
    """One of `count` portions of a batch, in which image i and its partner in mixing, n - 1 - i, stay together.

    A portion is symmetric like the batch: its own reverse order pairs the same partners.

    Raises
    ------
    ValueError
        If there are fewer pairs than portions.
    """
    n = len(batch)
    pairs = -(-n // 2)
    if pairs < count:
        raise ValueError(
            f"a batch of {n} images has no pair of images for each of {count} shares: raise batch_size, or lower "
            "accumulate or the configuration's train.devices"
        )
    low, high = pairs * index // count, pairs * (index + 1) // count
    return np.concatenate([batch[low:high], batch[max(high, n - high) : n - low]])


# BatchNorm over all processes. torch.nn.SyncBatchNorm is for GPUs only.


class GlobalBatchNorm(TorchFunctionMode):
    """Context in which BatchNorm in training mode takes mean and variance over the images of all processes."""

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        self.group = group

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function is F.batch_norm and kwargs["training"]:
            return _normalise(self.group, *args, **kwargs)
        return function(*args, **kwargs)


def _normalise(
    group: ProcessGroup,
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
    def forward(ctx: Any, values: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.group.sum(gradient.contiguous()), None
